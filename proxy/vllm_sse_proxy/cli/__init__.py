"""The command line: serve, probe, repair, check, config, demo, healthcheck.

Exit codes: 0, success (for ``check``: the stream conforms; for ``serve``: see :mod:`vllm_sse_proxy.server.process`; for
``probe``: :class:`vllm_sse_proxy.probe.verdicts.ExitCode`); 1, failure; 2, the command line or the settings cannot be used.
What is wrong with the input is reported in a line, not by a traceback.

Each command is a module of this package with ``add_arguments`` and ``run``. Only the one that is asked for is loaded:
``healthcheck`` runs every few seconds and must cost little.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy import __version__
from vllm_sse_proxy.cli.usage import PROGRAM, UsageError
from vllm_sse_proxy.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_ERROR: Final = 2
INTERRUPTED: Final = 130  # what shells make of SIGINT

COMMANDS: Final = {
    "serve": "Run the proxy in front of a vLLM server.",
    "probe": "Find out what is broken in a running vLLM, for which clients it matters, and what the proxy does about it.",
    "repair": "Repair a recorded stream: broken SSE in, conforming SSE out.",
    "check": "Check a recorded stream: one line per violation, exit code 1 if there are any.",
    "config": "Show, check or describe the settings that serve would run with.",
    "demo": "Show broken streams before and after, side by side.",
    "healthcheck": "Ask the admin port whether the proxy is ready.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``arguments`` are those of the process by default."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _dispatch(arguments)
    except UsageError as error:
        for line in error.lines:
            print(f"{PROGRAM}: {line}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain when it flushes what is left at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="A reverse proxy that repairs vLLM's streams, so that strict clients can read them.",
        epilog="Settings: flag, then environment (SSE_PROXY_*), then TOML file (--config), then default.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {
        name: subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        for name, text in COMMANDS.items()
    }
    # No option before the command takes a value, so the first other word is the command.
    named = next((word for word in arguments if not word.startswith("-")), None)
    if named is not None and named not in parsers:
        hint = nearest(named, list(COMMANDS)) or f"; there are: {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command {named!r}{hint}")
    if named is None:
        parser.parse_args(arguments)
        raise UsageError("no command was given")  # pragma: no cover - argparse has said so already
    command = import_module(f"{__name__}.{named}")
    command.add_arguments(parsers[named])
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise UsageError(*_unknown_arguments(unknown, parsers[named]))
    code: int = command.run(options)
    return code


def _unknown_arguments(words: list[str], parser: argparse.ArgumentParser) -> list[str]:
    known = [flag for action in parser._actions for flag in action.option_strings]  # noqa: SLF001 - there is no other way
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not flags:
        return [f"unexpected argument {word}{_meant(word, known)}" for word in words]
    return [f"unknown argument {flag}{nearest(flag, known, prefix='--')}" for flag in flags]


def _meant(word: str, known: list[str]) -> str:
    return "; did you mean --upstream URL?" if "://" in word and "--upstream" in known else ""
