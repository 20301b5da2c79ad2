"""``serve``: run the proxy in front of a vLLM server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy import server
from vllm_sse_proxy.cli.settings import add_settings, load
from vllm_sse_proxy.cli.usage import UsageError
from vllm_sse_proxy.config import ServerSettings, SettingsError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser, ServerSettings)


def run(options: Namespace) -> int:
    """Serve until a signal comes."""
    try:
        return server.serve(load(options, ServerSettings))
    except SettingsError as error:
        raise UsageError(*error.lines) from None
