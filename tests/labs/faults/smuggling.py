"""What upstream sees of requests that can be read in two ways: by the proxy alone, and with nginx and HAProxy on either side.

Three rules. Upstream never sees a request that was hidden in another. With the proxy in between upstream sees nothing that
the other server alone would not have let through. And whoever asks next gets the answer to that question: what is left on a
connection that is used again would show there.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.labs.faults.corpus import ATTACKS, MARK
from tests.labs.faults.process import ProxyProcess, wait_until
from tests.labs.faults.report import Row
from tests.labs.faults.rolling import Nginx, listening
from tests.support.http import RawClient
from tests.support.local_server import LocalServer, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.labs.faults.corpus import Attack

QUIET_SECONDS = 0.25

VICTIMS = 2

HAPROXY = """\
global
    log stderr format raw local0 emerg
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    timeout http-request 2s
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{target}
"""


@dataclass(frozen=True)
class Sighting:
    """One request as upstream saw it."""

    line: bytes
    headers: tuple[bytes, ...]
    body: bytes

    def strange(self) -> list[str]:
        """Return what upstream should never have been sent."""
        names = [header.partition(b":")[0].lower() for header in self.headers]
        found = []
        if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
            found.append("two framings")
        if any(byte in b"".join(self.headers) + self.line for byte in (b"\x00", b"\r", b"\n")):
            found.append("control characters in the head")
        if b"x-injected" in names:
            found.append("an injected header")
        if names.count(b"host") != 1:
            found.append("not one Host")
        return found


class Witness(LocalServer):
    """An upstream that reads strictly by RFC 9112, writes down every request, and answers with its target."""

    def __init__(self) -> None:
        super().__init__(limit=2**22)
        self.seen: list[Sighting] = []
        self.broken: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until one cannot be read."""
        try:
            while True:
                sighting = await self._read(reader)
                self.seen.append(sighting)
                said = sighting.line.split(b" ")[1] if sighting.line.count(b" ") else b"?"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said))
                writer.write(b"" if sighting.line.startswith(b"HEAD") else said)
                await writer.drain()
        except ValueError as error:
            self.broken.append(str(error))

    async def _read(self, reader: asyncio.StreamReader) -> Sighting:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *headers = head[:-4].split(b"\r\n")
        fields = {h.partition(b":")[0].lower(): h.partition(b":")[2].strip() for h in headers}
        body = b""
        if b"transfer-encoding" in fields:
            while size := await self._size(reader):
                body += await reader.readexactly(size)
                if await reader.readexactly(2) != b"\r\n":
                    raise ValueError("a chunk that does not end where it says")
            while (await reader.readuntil(b"\r\n")) != b"\r\n":
                pass
        elif b"content-length" in fields:
            body = await reader.readexactly(int(fields[b"content-length"]))
        return Sighting(line, tuple(headers), body)

    async def _size(self, reader: asyncio.StreamReader) -> int:
        line = (await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0]
        if not line or not all(byte in b"0123456789abcdefABCDEF" for byte in line):
            raise ValueError(f"chunk size {line!r}")
        return int(line, 16)


class HAProxy:
    """HAProxy before a port; a context manager."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="sse-proxy-haproxy-")
        self._path = Path(self._folder.name) / "haproxy.cfg"
        self._path.write_text(HAPROXY.format(port=self.port, target=target))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "haproxy", "-db", "-f", str(self._path), stderr=asyncio.subprocess.DEVNULL
        )
        await listening(self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()
        self._folder.cleanup()


class Way:
    """One way to the witness."""

    def __init__(self, port: int, witness: Witness) -> None:
        self.port = port
        self.witness = witness

    async def attack(self, attack: Attack, quiet_seconds: float) -> tuple[list[Sighting], list[str], str]:
        """Send an attack, then a few ordinary requests; return what upstream saw, what is wrong, and the first status."""
        self.witness.seen.clear()
        self.witness.broken.clear()
        said = await self._send(attack.sent, quiet_seconds)
        if attack.honest:
            await wait_until(self._arrived)
        seen = [sighting for sighting in self.witness.seen if b"/victim" not in sighting.line]
        wrong = [found for sighting in seen for found in sighting.strange()]
        wrong += [f"upstream could not read it: {found}" for found in self.witness.broken]
        for number in range(VICTIMS):
            target = f"/victim-{number}"
            got = await self._ask(target)
            if got != target:
                wrong.append(f"who asked for {target} got {got[:60]!r}")
        status = said.split(b" ")[1].decode(errors="replace") if said.startswith(b"HTTP/1") else "closed"
        return seen, wrong, status

    async def _arrived(self) -> bool:
        return bool(self.witness.seen)

    async def _send(self, data: bytes, quiet_seconds: float) -> bytes:
        """Send bytes and return what comes back until nothing more does."""
        client = await RawClient.connect(self.port, limit=2**22)
        said = b""
        try:
            with contextlib.suppress(ConnectionError):
                await client.send(data)
            with contextlib.suppress(ConnectionError, TimeoutError):
                while True:
                    async with asyncio.timeout(quiet_seconds):
                        piece = await client.reader.read(2**16)
                    if not piece:
                        break
                    said += piece
        finally:
            client.leave()
        return said

    async def _ask(self, target: str) -> str:
        client = await RawClient.connect(self.port)
        try:
            await client.get(target)
            return (await client.answer()).body.decode(errors="replace")
        except (OSError, asyncio.IncompleteReadError) as error:
            return repr(error)
        finally:
            client.leave()


@contextlib.asynccontextmanager
async def ways(names: Iterable[str]) -> AsyncIterator[dict[str, Way]]:
    """Open ways to witnesses of their own: server names from the client's side, joined by `+`."""
    async with contextlib.AsyncExitStack() as stack:
        made = {}
        for name in names:
            witness = await stack.enter_async_context(Witness())
            port = witness.port
            for server in reversed(name.split("+")):
                match server:
                    case "nginx":
                        port = (await stack.enter_async_context(Nginx([port], keepalive=4))).port
                    case "HAProxy":
                        port = (await stack.enter_async_context(HAProxy(port))).port
                    case _:
                        proxy = ProxyProcess(f"http://127.0.0.1:{port}")
                        port = (await stack.enter_async_context(proxy)).port
            made[name] = Way(port, witness)
        yield made


async def compare(
    attacks: Iterable[Attack] = ATTACKS,
    servers: Iterable[str] = ("nginx", "HAProxy"),
    *,
    quiet_seconds: float = QUIET_SECONDS,
) -> list[Row]:
    """Send every attack every way.

    :param quiet_seconds: an attack is over when nothing came back for so long.
    """
    there = [server for server in servers if shutil.which(server.lower())]
    for server in set(servers) - set(there):
        print(f"SKIPPED: {server} is not installed")
    names = ["proxy"]
    for server in there:
        names += [server, f"{server}+proxy", f"proxy+{server}"]
    rows = []
    async with ways(names) as made:
        for attack in attacks:
            results = {name: await way.attack(attack, quiet_seconds) for name, way in made.items()}
            rows += [_row(attack, name, results) for name in names]
    return rows


def _row(attack: Attack, name: str, results: dict[str, tuple[list[Sighting], list[str], str]]) -> Row:
    seen, wrong, status = results[name]
    if "proxy" not in name:  # another server alone: only to compare with
        return Row("smuggling", attack.name, name, f"{len(seen)}, {status}")
    wrong = list(wrong)
    if attack.honest and not seen:
        wrong.append("a valid request did not arrive")
    hidden = any(MARK in sighting.line for sighting in seen)
    if name != "proxy":
        alone = next(server for server in name.split("+") if server != "proxy")
        # Whoever is first decides what the requests are: nothing may be added to them further on.
        first = alone if name.endswith("+proxy") else "proxy"
        known = results[first][0]
        added = Counter(sighting.body for sighting in seen) - Counter(sighting.body for sighting in known)
        if added:
            wrong.append(
                f"upstream saw {len(seen)} requests, {first} alone sends {len(known)}; new: {list(added)[:2]}"
            )
        hidden = hidden and not any(MARK in sighting.line for sighting in known)
    if hidden and not attack.second:
        wrong.append("the hidden request was seen")
    return Row("smuggling", attack.name, name, f"{len(seen)}, {status}", wrong)
