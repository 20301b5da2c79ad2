"""``config``: show, check or describe the settings that ``serve`` would run with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.cli.reading import load_with_origins_of
from vllm_sse_proxy.cli.settings import add_settings
from vllm_sse_proxy.cli.usage import UsageError
from vllm_sse_proxy.config import as_toml, schema
from vllm_sse_proxy.server import reloading
from vllm_sse_proxy.settings import ServerSettings, SettingsError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


_PLACEHOLDER: Final = "http://upstream.invalid"


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
        print(json.dumps(schema(), indent=2))
        return 0
    if options.action == "show":
        print(_shown(options))
    else:
        _check(options)
        print("usable")
    return 0


def _check(options: Namespace) -> None:
    """Load the settings, and the files that they name.

    :raises UsageError: one of them cannot be used.
    """
    settings = load_with_origins_of(options, ServerSettings)[0]
    try:
        reloading.check(settings)
    except SettingsError as error:
        raise UsageError(*error.lines) from None


def _shown(options: Namespace) -> str:
    """Return the settings as TOML, those that are required and missing too.

    :raises UsageError: they cannot be used, whatever is missing.
    """
    try:
        return as_toml(*load_with_origins_of(options, ServerSettings)).rstrip()
    except UsageError as error:
        if not any(line.startswith("upstream is required") for line in error.lines):
            raise
    options.upstream = _PLACEHOLDER
    text = as_toml(*load_with_origins_of(options, ServerSettings)).rstrip()
    return "\n".join(
        "# upstream is not set; serve needs it" if line.startswith("upstream = ") else line
        for line in text.splitlines()
    )
