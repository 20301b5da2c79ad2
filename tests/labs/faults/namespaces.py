"""Three hosts on one machine: client, proxy and upstream in network namespaces of their own, with links that are really cut.

A link that is down sends nothing back, neither FIN nor RST: only time limits notice. Addresses are those reserved for
documentation (RFC 5737), and nothing of it touches the machine's own network. It needs root and `ip` (Debian: iproute2);
without, it is skipped, and says so.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tests.labs.faults.answers import PHASES, PLAIN
from tests.labs.faults.judge import Verdict, gained, judge
from tests.labs.faults.process import ProxyProcess, wait_until
from tests.labs.faults.relay import SETTLE_SECONDS
from tests.labs.faults.report import Row
from tests.labs.faults.upstream_faults import next_id, post
from tests.support.http import RawClient
from tests.support.local_server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CLIENT = "192.0.2.1"
PROXY = "192.0.2.2"  # towards the client
PROXY_BEHIND = "198.51.100.1"  # towards upstream
UPSTREAM = "198.51.100.2"
UPSTREAM_PORT = 8000

IDLE_SECONDS = 1.5
CONNECT_SECONDS = 1.0
KEEPALIVE_SECONDS = 0.5
LONG_FIRST_BYTE_SECONDS = 8.0
LONG_IDLE_SECONDS = 45.0

WRITE_SECONDS = 3.0
"""Limit for clients that take nothing: by it the kernel gives up a connection that nobody acknowledges (TCP_USER_TIMEOUT)."""


def missing() -> str | None:
    """Return why this cannot run here; None if it can."""
    if os.geteuid() != 0:
        return "not root"
    if shutil.which("ip") is None:
        return "no ip command (Debian: iproute2)"
    name = f"sse-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return f"no network namespaces: {made.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return None


def ip(*words: str) -> None:
    """Run one `ip` command."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Hosts:
    """The three namespaces and their two links; a context manager."""

    def __init__(self) -> None:
        tag = f"sse-{os.getpid()}"
        self.client, self.proxy, self.upstream = (f"{tag}-{role}" for role in ("client", "proxy", "upstream"))

    def __enter__(self) -> Self:
        for name in (self.client, self.proxy, self.upstream):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        self._link(self.client, CLIENT, self.proxy, PROXY, "front")
        self._link(self.proxy, PROXY_BEHIND, self.upstream, UPSTREAM, "back")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.client, self.proxy, self.upstream):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def _link(self, one: str, address: str, other: str, far: str, name: str) -> None:
        ip("-n", one, "link", "add", name, "type", "veth", "peer", "name", name, "netns", other)
        for namespace, own in ((one, address), (other, far)):
            ip("-n", namespace, "addr", "add", f"{own}/30", "dev", name)
            ip("-n", namespace, "link", "set", name, "up")

    def cut(self, link: str) -> None:
        """Take a link down, at the far end: the proxy's own interface stays up, as with a cable cut somewhere else."""
        ip("-n", self.client if link == "front" else self.upstream, "link", "set", link, "down")

    def restore(self, link: str) -> None:
        """Bring a link up again."""
        ip("-n", self.client if link == "front" else self.upstream, "link", "set", link, "up")

    def within(self, name: str, make: Callable[[], T]) -> T:
        """Call something in a namespace: a socket stays in the one it was made in."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            if libc.setns(there, 0):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return make()
            finally:
                if libc.setns(home, 0):
                    raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(home)
            os.close(there)


class Upstream(LocalServer):
    """Answers every request with the first bytes of the script, then falls silent.

    :ivar at: how many bytes; ``said`` is set when they are out.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock=sock)
        self.at = len(PLAIN.wire)
        self.said = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests as far as it is to."""
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            writer.write(PLAIN.wire[: self.at])
            await writer.drain()
            await asyncio.sleep(SETTLE_SECONDS)
            self.said.set()


async def link_cuts() -> list[Row]:
    """Cut the link to upstream, and the link to the client, in every phase."""
    reason = missing()
    if reason is not None:
        print(f"SKIPPED: network namespaces: {reason}")
        return []
    with Hosts() as hosts:
        sock = hosts.within(
            hosts.upstream, lambda: socket.create_server((UPSTREAM, UPSTREAM_PORT), reuse_port=False)
        )
        async with Upstream(sock) as upstream:
            async with _proxy(hosts, first_byte=IDLE_SECONDS, idle=IDLE_SECONDS) as proxy:
                bench = Bench(hosts, upstream, proxy)
                rows = [await bench.lose_upstream(phase) for phase in PHASES if phase != "after [DONE]"]
                rows.append(await bench.unreachable())
            async with _proxy(hosts, first_byte=LONG_FIRST_BYTE_SECONDS, idle=LONG_IDLE_SECONDS) as proxy:
                bench = Bench(hosts, upstream, proxy)
                rows += [await bench.lose_client(phase) for phase in ("before head", "between events")]
        return rows


def _proxy(hosts: Hosts, *, first_byte: float, idle: float) -> ProxyProcess:
    return ProxyProcess(
        f"http://{UPSTREAM}:{UPSTREAM_PORT}",
        prefix=("ip", "netns", "exec", hosts.proxy),
        host=PROXY,
        admin_host="127.0.0.1",
        idle_timeout_seconds=idle,
        first_byte_timeout_seconds=first_byte,
        connect_timeout_seconds=CONNECT_SECONDS,
        keepalive_seconds=KEEPALIVE_SECONDS,
        client_write_timeout_seconds=WRITE_SECONDS,
    )


class Bench:
    """One proxy between the two links."""

    def __init__(self, hosts: Hosts, upstream: Upstream, proxy: ProxyProcess) -> None:
        self.hosts = hosts
        self.upstream = upstream
        self.proxy = proxy

    async def connect(self, name: str, address: str, port: int) -> RawClient:
        """Connect from within a namespace."""
        sock = self.hosts.within(name, lambda: socket.create_connection((address, port), timeout=5))
        sock.setblocking(False)
        return RawClient(*await asyncio.open_connection(sock=sock, limit=2**20))

    async def metrics(self) -> dict[str, float]:
        """Read /metrics within the proxy's namespace: that works with both links down."""
        client = await self.connect(self.hosts.proxy, "127.0.0.1", self.proxy.admin_port)
        try:
            return await self.proxy.metrics(client)
        finally:
            client.leave()

    async def begin(self, at: int) -> tuple[RawClient, str]:
        """Send a request and let upstream say so many bytes."""
        self.upstream.at = at
        self.upstream.said.clear()
        client = await self.connect(self.hosts.client, PROXY, self.proxy.port)
        request_id = next_id()
        await client.send(post(request_id))
        async with asyncio.timeout(10):
            await self.upstream.said.wait()
        return client, request_id

    async def lose_upstream(self, phase: str) -> Row:
        """The link to upstream goes down in a phase."""
        before = await self.metrics()
        client, request_id = await self.begin(PHASES[phase])
        self.hosts.cut("back")
        try:
            verdict = await self._end(client, request_id, PLAIN.whole(PHASES[phase]), before)
        finally:
            self.hosts.restore("back")
        return Row("upstream", "link cut", phase, verdict.shown, verdict.wrong)

    async def unreachable(self) -> Row:
        """The link to upstream is down when a request comes."""

        async def closed() -> bool:
            return self.proxy.connections(remote=UPSTREAM_PORT) == 0

        await wait_until(closed)  # none is left in the pool
        before = await self.metrics()
        self.hosts.cut("back")
        try:
            client = await self.connect(self.hosts.client, PROXY, self.proxy.port)
            request_id = next_id()
            await client.send(post(request_id))
            verdict = await self._end(client, request_id, (), before)
        finally:
            self.hosts.restore("back")
        return Row("upstream", "link cut", "before connecting", verdict.shown, verdict.wrong)

    async def _end(
        self, client: RawClient, request_id: str, whole: tuple[bytes, ...], before: dict[str, float]
    ) -> Verdict:
        answer = await client.answer()
        client.leave()
        line: dict[str, Any] = await self.proxy.request_line(request_id)
        verdict = judge(answer, line, whole)

        async def released() -> bool:
            return self.proxy.connections(remote=UPSTREAM_PORT) == 0

        # The kernel keeps a closed connection that nobody acknowledges for a while: it belongs to no process then.
        if not await wait_until(released):
            verdict.wrong.append("the connection to upstream is still held")
        after = await self.metrics()
        if after["requests_in_flight"] or after["streams_in_flight"]:
            verdict.wrong.append("something is still in flight")
        counted = gained(before, after, "streams_total") or gained(before, after, "upstream_failures_total")
        if sum(counted.values()) != 1:
            verdict.wrong.append(f"counted: {counted}")
        return verdict

    async def lose_client(self, phase: str) -> Row:
        """The link to the client goes down: a half-open connection.

        Within a stream the keep-alives find out. Before the head nothing is sent, so nothing can.
        """
        before = await self.metrics()
        client, request_id = await self.begin(PHASES[phase])
        self.hosts.cut("front")
        loop = asyncio.get_running_loop()
        start = loop.time()
        wrong: list[str] = []
        try:
            line = await self.proxy.request_line(request_id, seconds=60)
            took = loop.time() - start
        except TimeoutError:
            return Row("client", "link cut", phase, "held", ["upstream was still held after 60 s"])
        finally:
            self.hosts.restore("front")
            client.leave()
        after = await self.metrics()
        if after["requests_in_flight"] or after["streams_in_flight"]:
            wrong.append("something is still in flight")
        if sum(gained(before, after, "requests_total").values()) != 1:
            wrong.append("the request was not counted")
        if phase != "before head" and line["ending"] != "client_gone":
            wrong.append("it was not noticed that the client is gone")
        return Row("client", "link cut", phase, f"`{line['ending']}`", wrong, f"after {took:.1f} s")
