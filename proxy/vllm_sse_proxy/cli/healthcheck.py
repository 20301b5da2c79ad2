"""``healthcheck``: ask the admin port of a proxy on this machine whether it is ready. For HEALTHCHECK and exec probes."""

from __future__ import annotations

import os
import sys
import tomllib
import urllib.error
import urllib.request
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.cli.usage import PROGRAM, READ_BYTES, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_TIMEOUT_SECONDS: Final = 3.0
"""How long the admin port may take to answer; container engines' own limits are higher."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--url",
        default=_readiness_url(),
        help="the URL to ask (default, by the variables and the file that SSE_PROXY_CONFIG names, not by flags of serve: "
        "%(default)s)",
    )


def run(options: Namespace) -> int:
    """Ask; return 0 if the proxy is ready."""
    url: str = options.url
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url: {url!r} must start with http:// or https://")
    # An HTTP proxy in the environment has no business between a container and its own loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            print(answer.read(READ_BYTES).decode(errors="replace").strip())
    except (
        OSError,
        ValueError,
        HTTPException,
    ) as error:  # urllib's errors are OSErrors; a 503 is one of them
        print(f"{PROGRAM}: {url}: {_reason(error)}", file=sys.stderr)
        return 1
    return 0


def _reason(error: Exception) -> str:
    """Return why there is no good answer, without Python's wrapping."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, (urllib.error.HTTPError, InvalidURL)):
        return str(error)
    if isinstance(error, HTTPException):
        return "what answers is not HTTP"
    if isinstance(reason, ConnectionRefusedError):
        return "nothing listens there: the proxy does not run, or has another admin_port or admin_host"
    if isinstance(reason, TimeoutError):
        return f"no answer within {_TIMEOUT_SECONDS:g} s"
    return (reason.strerror if isinstance(reason, OSError) else None) or str(reason)


def _readiness_url() -> str:
    """Return where the admin port is, by the variables and the file that ``serve`` reads; what is wrong with them, it says."""
    file = _file()

    def given(name: str) -> Any:
        return os.environ.get(f"SSE_PROXY_{name.upper()}") or file.get(name)

    host = str(given("admin_host") or given("host") or "127.0.0.1").strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - "everywhere" is reached on loopback
    port = given("admin_port") or "9001"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"


def _file() -> dict[str, Any]:
    path = os.environ.get("SSE_PROXY_CONFIG")
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):  # TOML's and UTF-8's errors are ValueErrors
        return {}
