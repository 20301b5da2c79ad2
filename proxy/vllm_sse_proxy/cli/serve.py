"""``serve``: run the proxy in front of a vLLM server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from vllm_sse_proxy import server
from vllm_sse_proxy.cli.settings import add_settings, flags_of
from vllm_sse_proxy.cli.usage import UsageError
from vllm_sse_proxy.settings import ServerSettings, SettingsError, from_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_READER = "vllm_sse_proxy.cli.reading"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser, ServerSettings)


def run(options: Namespace) -> int:
    """Serve until a signal comes."""
    try:
        return server.serve(_read(options))
    except SettingsError as error:
        raise UsageError(*error.lines) from None


def _read(options: Namespace) -> ServerSettings:
    """Return the settings, read in a process of its own.

    :raises UsageError: they cannot be used, or the process ended without an answer.
    """
    # json, and not orjson: what somebody typed need not be UTF-8.
    question = json.dumps({"flags": flags_of(options, ServerSettings), "config": options.config})
    reader = subprocess.run(  # noqa: S603 - a module of ours
        [sys.executable, "-m", _READER], input=question.encode(), stdout=subprocess.PIPE, check=False
    )
    if reader.returncode:
        raise UsageError(f"the settings could not be read: {_READER} ended with {reader.returncode}")
    found = json.loads(reader.stdout)
    if "wrong" in found:
        raise UsageError(*found["wrong"])
    return from_json(ServerSettings, found["settings"])
