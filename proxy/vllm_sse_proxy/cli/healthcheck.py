"""``healthcheck``: ask the admin port of a proxy on this machine whether it is ready. For HEALTHCHECK and exec probes."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.cli.usage import PROGRAM, READ_BYTES, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_TIMEOUT_SECONDS: Final = 3.0
"""How long the admin port may take to answer; container engines' own limits are higher."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--url", default=_readiness_url(), help="the URL to ask (default: %(default)s)")


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
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors; a 503 is one of them
        print(f"{PROGRAM}: {url}: {_reason(error)}", file=sys.stderr)
        return 1
    return 0


def _reason(error: Exception) -> str:
    """Return why there is no good answer, without Python's wrapping."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        return str(error)
    if isinstance(reason, ConnectionRefusedError):
        return "nothing listens there: the proxy does not run, or has another admin_port or admin_host"
    if isinstance(reason, TimeoutError):
        return f"no answer within {_TIMEOUT_SECONDS:g} s"
    return (reason.strerror if isinstance(reason, OSError) else None) or str(reason)


def _readiness_url() -> str:
    host = os.environ.get("SSE_PROXY_ADMIN_HOST") or os.environ.get("SSE_PROXY_HOST") or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - "everywhere" is reached on loopback
    port = os.environ.get("SSE_PROXY_ADMIN_PORT") or "9001"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"
