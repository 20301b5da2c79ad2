"""``probe``: find out what is broken in a running vLLM, and what the proxy does about it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vllm_sse_proxy.cli.usage import PROGRAM, UsageError
from vllm_sse_proxy.config import checked
from vllm_sse_proxy.demo.report import Screen
from vllm_sse_proxy.logs import logger
from vllm_sse_proxy.numbers import positive_seconds
from vllm_sse_proxy.probe import report
from vllm_sse_proxy.probe.page import page
from vllm_sse_proxy.probe.session import Options, probe
from vllm_sse_proxy.probe.target import ProbeError
from vllm_sse_proxy.probe.verdicts import ExitCode
from vllm_sse_proxy.settings import ServerSettings, SettingsError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Exit codes: " + "; ".join(f"{code.value}, {code.meaning}" for code in ExitCode) + "."
    parser.add_argument("url", metavar="URL", help="address of vLLM, with or without /v1")
    parser.add_argument(
        "--model", metavar="NAME", help="model to ask (default: the first one that is served)"
    )
    parser.add_argument(
        "--api-key-env",
        metavar="NAME",
        help="environment variable with the server's API key; it is shown nowhere",
    )
    parser.add_argument(
        "--ca-file", metavar="FILE", help="authorities (PEM) to trust instead of the system's"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--html", metavar="FILE", help="write the report as one page of HTML as well")
    parser.add_argument(
        "--details", action="store_true", help="show what is not fine side by side, before and after"
    )
    parser.add_argument(
        "--silence-seconds",
        type=positive_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long the server may be silent within one answer (default: 60)",
    )
    parser.add_argument(
        "--most-seconds",
        type=positive_seconds,
        default=300.0,
        metavar="SECONDS",
        help="how long all of it may take; what is not over then is left out (default: 300)",
    )


def run(options: Namespace) -> int:
    """Probe, and print the report."""
    wanted = Options(
        settings=_settings(options),
        model=options.model,
        key=_key(options.api_key_env),
        key_name=options.api_key_env,
        silence_seconds=options.silence_seconds,
        most_seconds=options.most_seconds,
    )
    _check_writable(options.html)
    logger.addHandler(logging.NullHandler())  # what the proxy in this process would log is in the report
    watched = sys.stderr.isatty()
    try:
        found = asyncio.run(probe(wanted, _show if watched else lambda _done, _all: None))
    except ProbeError as error:
        print(f"{PROGRAM}: {_without(str(error), wanted.key)}", file=sys.stderr)
        return int(ExitCode.UNPROBED)
    except SettingsError as error:
        raise UsageError(*(line.replace("upstream_ca_file", "--ca-file") for line in error.lines)) from None
    finally:
        if watched:
            print("\r\033[K", end="", file=sys.stderr)
    if options.html:
        _write(options.html, page(found, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")))
    if options.json:
        sys.stdout.write(report.as_text(found))
    else:
        sys.stdout.write(report.text(found, Screen.for_stream(sys.stdout), details=options.details))
    return int(found.exit_code)


def _settings(options: Namespace) -> ServerSettings:
    # It listens nowhere: a proxy on this machine's own ports may be what is probed.
    given = {"upstream": options.url, "upstream_ca_file": options.ca_file, "port": 0, "admin_port": 0}
    names = {"upstream": f"{options.url!r}", "upstream_ca_file": "--ca-file"}
    try:
        return checked(
            ServerSettings, {name: value for name, value in given.items() if value is not None}, names
        )
    except SettingsError as error:
        url = f"{names['upstream']}:"
        raise UsageError(
            *(line.replace(f"--ca-file, {url}", "--ca-file:").replace(url, url[:-1]) for line in error.lines)
        ) from None


def _key(name: str | None) -> str | None:
    """Return the key.

    :raises UsageError: the variable does not hold one.
    """
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise UsageError(f"--api-key-env: the environment variable {name} is not set, or is empty")
    if not key.isascii() or not key.isprintable():
        raise UsageError(
            f"--api-key-env: what is in the environment variable {name} cannot be sent in a header"
        )
    return key


def _without(text: str, key: str | None) -> str:
    return text if key is None else text.replace(key, "[key]")


def _check_writable(path: str | None) -> None:
    """Find out now whether a file can be written, and not after minutes.

    :raises UsageError: it cannot.
    """
    if path is not None:
        try:
            Path(path).open("a").close()
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or error}") from None


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total} requests", end="", file=sys.stderr, flush=True)
