"""``config``: show, check or describe the settings that ``serve`` would run with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vllm_sse_proxy.cli.settings import add_settings, load_with_origins_of
from vllm_sse_proxy.config import ServerSettings, as_toml

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "action",
        choices=("show", "check", "schema"),
        help="show: all settings as TOML, each with its origin; check: report what is wrong, with exit code 2; "
        "schema: the JSON schema of a configuration file",
    )
    add_settings(parser, ServerSettings)


def run(options: Namespace) -> int:
    """Carry out the action."""
    if options.action == "schema":
        print(json.dumps(ServerSettings.model_json_schema(), indent=2))
        return 0
    settings, origins = load_with_origins_of(options, ServerSettings)
    print("usable" if options.action == "check" else as_toml(settings, origins).rstrip())
    return 0
