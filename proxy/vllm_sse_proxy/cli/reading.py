"""The settings that result from flags and all other sources, in this process or in one of its own.

``python -m vllm_sse_proxy.cli.reading`` is that process: it is given the flags as JSON, and answers with the settings or with
what is wrong with them. ``serve`` asks it, so that no server keeps pydantic in memory for years, which it needs for a moment
(issue 17).
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from typing import TYPE_CHECKING

from vllm_sse_proxy.cli.settings import flags_of
from vllm_sse_proxy.cli.usage import UsageError
from vllm_sse_proxy.config import load_with_origins
from vllm_sse_proxy.settings import ServerSettings, SettingsError

if TYPE_CHECKING:
    import argparse

    from vllm_sse_proxy.settings import SettingsT


def load(options: argparse.Namespace, model: type[SettingsT]) -> SettingsT:
    """Return the settings alone; see :func:`load_with_origins_of`."""
    return load_with_origins_of(options, model)[0]


def load_with_origins_of(
    options: argparse.Namespace, model: type[SettingsT]
) -> tuple[SettingsT, dict[str, str]]:
    """Return the settings that result from the flags and all other sources, and where each value comes from.

    :raises UsageError: they cannot be used.
    """
    try:
        return load_with_origins(model, flags_of(options, model), config_file=options.config)
    except SettingsError as error:
        raise UsageError(*error.lines) from None


def answer(question: str | bytes) -> str:
    """Return the settings of a server, or what is wrong with them, as JSON.

    :param question: ``{"flags": …, "config": …}``, as :func:`load_with_origins` takes them.
    """
    asked = json.loads(question)
    try:
        settings, _ = load_with_origins(ServerSettings, asked["flags"], config_file=asked["config"])
    except SettingsError as error:
        return json.dumps({"wrong": error.lines})
    return json.dumps({"settings": dataclasses.asdict(settings)})


def main() -> None:
    """Answer the question that comes by standard input."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever asks says that it was interrupted
    print(answer(sys.stdin.buffer.read()))


if __name__ == "__main__":
    main()
