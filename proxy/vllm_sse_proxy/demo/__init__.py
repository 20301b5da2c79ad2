"""`vllm-sse-proxy demo`: broken streams, before and after.

An upstream inside this process replays recordings of real vLLM releases, the real proxy stands in front of it, and
both are asked the same things over sockets. What strict clients make of either answer is printed side by side.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from yarl import URL

from vllm_sse_proxy.config import checked_host
from vllm_sse_proxy.demo import session
from vllm_sse_proxy.numbers import milliseconds, port_number

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of the `demo` command."""
    parser.add_argument(
        "--once", action="store_true", help="end after the comparison instead of serving until Ctrl-C"
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        help="show this recording only (may be given more than once)",
    )
    parser.add_argument(
        "--host",
        type=_host,
        default="127.0.0.1",
        help="address that all servers of the demo bind (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=port_number, default=0, help="port of the proxy (default: any that is free)"
    )
    parser.add_argument(
        "--event-delay-ms",
        type=milliseconds,
        default=4.0,
        metavar="MS",
        help="pause between two replayed events, in milliseconds (default: 4)",
    )
    parser.add_argument(
        "--upstream-only",
        action="store_true",
        help="only serve the recordings on --port, as the upstream of a proxy that runs elsewhere",
    )
    parser.add_argument(
        "--traffic",
        type=_server,
        metavar="URL",
        help="only ask the proxy at URL for one recording after the other until Ctrl-C, so that its metrics move",
    )


def run(namespace: Namespace) -> int:
    """Run the demo and return the exit status: 1 if any stream that left the proxy does not conform."""
    return session.main(
        session.Options(
            once=namespace.once,
            only=tuple(namespace.only or ()),
            host=namespace.host,
            port=namespace.port,
            event_delay_seconds=namespace.event_delay_ms / 1000,
            upstream_only=namespace.upstream_only,
            traffic=namespace.traffic,
        )
    )


def _host(text: str) -> str:
    try:
        return checked_host(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _server(text: str) -> str:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the URL of a server, such as http://127.0.0.1:9000"
        )
    return text.rstrip("/").removesuffix("/v1")
