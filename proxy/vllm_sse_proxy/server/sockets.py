"""Sockets: the ports that are listened on, and peers that vanish without a word."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

LISTEN_BACKLOG: Final = 1024

KEEPALIVE_IDLE_SECONDS: Final = 60
KEEPALIVE_INTERVAL_SECONDS: Final = 15
KEEPALIVE_PROBES: Final = 4
"""A peer that vanished is noticed two minutes after the last byte in either direction."""


def watch_peer(sock: socket.socket | None, *, unacknowledged_seconds: float) -> None:
    """Have the kernel close a connection whose peer has vanished, as far as this system can.

    :param unacknowledged_seconds: how long sent bytes may stay unacknowledged; 0 leaves that to the system.
    """
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    options: list[tuple[int, str, int]] = [
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEPALIVE_PROBES),
    ]
    if unacknowledged_seconds:
        options.append((socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", max(1, int(unacknowledged_seconds * 1000))))
    for level, name, value in options:
        number = getattr(socket, name, None)
        if number is not None:
            with suppress(OSError):
                sock.setsockopt(level, number, value)


def bind(family: socket.AddressFamily, address: Any, *, share: bool) -> socket.socket:
    """Return a TCP socket that is bound to an address.

    :param share: let other sockets of this user listen on the same port.
    :raises OSError: the address cannot be used; the message names it.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
    except OSError as error:
        sock.close()
        where = f"{bracketed(address[0])}:{address[1]}"
        raise OSError(error.errno, f"{where}: {error.strerror}") from None
    return sock


def close_all(sockets: list[socket.socket]) -> None:
    """Close sockets and forget them."""
    for sock in sockets:
        sock.close()
    sockets.clear()


@contextmanager
def naming(port: str, host: str, address: str) -> Iterator[None]:
    """Put the name of the setting that is to blame before the message of what it causes.

    :param port: the name of the port's setting.
    :param host: the name of the address's setting.
    :param address: what that one says.
    :raises OSError: with the same number, if there is one.
    """
    try:
        yield
    except socket.gaierror as error:
        raise OSError(error.errno, f"{host} {address!r}: {error.strerror or error}") from None
    except OSError as error:
        # asyncio of Python 3.13 gives no number where no address could be bound; it has tried all of them.
        number = errno.EADDRNOTAVAIL if error.errno is None else error.errno
        name = host if number == errno.EADDRNOTAVAIL else port
        raise OSError(number, f"{name}: {error.strerror or error}") from None


async def listen(runner: web.BaseRunner, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
    """Set a runner up and open its port."""
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=LISTEN_BACKLOG, ssl_context=tls).start()


async def stop_listening(sites: Iterable[web.BaseSite]) -> list[socket.socket]:
    """Close ports and return the connections that were made but not yet accepted.

    The kernel makes connections by itself and queues them. It resets those that are still queued when their port closes, and
    a load balancer does not repeat a POST that it has already sent.
    """
    sites = list(sites)
    # Further descriptors of the listening sockets: the port stays open until these are closed too.
    queues = [
        socket.fromfd(sock.fileno(), sock.family, sock.type)
        for site in sites
        for sock in getattr(site._server, "sockets", ())  # noqa: SLF001 - aiohttp has no other way to them
    ]
    for site in sites:
        await site.stop()
    waiting: list[socket.socket] = []
    for queue in queues:
        with queue, suppress(BlockingIOError):
            while True:
                waiting.append(queue.accept()[0])
    for sock in waiting:
        sock.setblocking(False)
    return waiting


def bracketed(host: str) -> str:
    """Return a host as it is written in front of a port."""
    return f"[{host}]" if ":" in host else host


def port_of(runner: web.BaseRunner | None) -> int:
    """Return the port that a runner listens on; 0 if it listens on none."""
    return int(runner.addresses[0][1]) if runner is not None and runner.addresses else 0
