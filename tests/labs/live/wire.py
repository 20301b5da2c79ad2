"""HTTP over raw sockets: exchanges that know how they ended, and a tap that shows what crosses a connection.

No HTTP library: how a body ends (whole, cut, silent) is a result here, and libraries raise instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.local_server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 65536
HEAD_BYTES = 2**20
"""The longest head that is read: more than any server sends."""

Headers = list[tuple[str, str]]


class End(StrEnum):
    """How an answer ended."""

    WHOLE = "whole"
    CUT = "cut"
    SILENT = "silent"
    LEFT = "left"
    REFUSED = "refused"


@dataclass
class Answer:
    """What came back; ``status`` 0 means that not even a head came."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    end: End = End.CUT

    def value(self, name: str) -> str:
        """Return a header's value, the empty string if it is not there."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    @property
    def is_stream(self) -> bool:
        return self.status == 200 and self.value("Content-Type").startswith("text/event-stream")

    def json(self) -> Any:
        """Return the body, read as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class _Body:
    """Takes the framing off a body as it arrives."""

    def __init__(self, headers: Headers, *, empty: bool) -> None:
        named = {name.lower(): value for name, value in headers}
        self._chunked = named.get("transfer-encoding", "").lower() == "chunked"
        self._left = 0 if empty else int(named["content-length"]) if "content-length" in named else None
        self._raw = bytearray()
        self.data = bytearray()
        self.whole = not self._chunked and self._left == 0

    @property
    def until_close(self) -> bool:
        """Return whether only the end of the connection ends it."""
        return not self._chunked and self._left is None

    def feed(self, data: bytes) -> None:
        if not self._chunked:
            self.data += data
            self.whole = self._left is not None and len(self.data) >= self._left
            return
        self._raw += data
        while not self.whole:
            size, found, rest = self._raw.partition(b"\r\n")
            if not found:
                return
            length = int(size.partition(b";")[0], 16)
            if len(rest) < length + 2:
                return
            self.data += rest[:length]
            self._raw = rest[length + 2 :]
            self.whole = length == 0


def parse_head(raw: bytes) -> tuple[str, Headers]:
    """Return the first line and the headers of a head, given without the blank line at its end."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    return first, [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of an `http://` URL."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError(f"not an http:// URL: {url}")
    return parts.hostname, parts.port or 80


async def exchange(
    url: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    silence_seconds: float = 60,
    leave: Callable[[bytes], bool] | None = None,
) -> Answer:
    """Send one request on a connection of its own and read the answer to its end.

    :param body: bytes, or what is sent as JSON; None for no body.
    :param silence_seconds: after so much silence the answer is given up as :attr:`End.SILENT`.
    :param leave: asked with what has come of the body, after every read; true closes the connection.
    """
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    host, port = address_of(url)
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", "Accept: */*"]
    # vLLM makes its ids of it. The proxy passes it on, and makes one where there is none.
    head.append(f"X-Request-Id: {secrets.token_hex(16)}")
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    answer = Answer()
    try:
        reader, writer = await asyncio.open_connection(host, port, limit=HEAD_BYTES)
    except OSError:
        answer.end = End.REFUSED
        return answer
    try:
        writer.write("\r\n".join([*head, "", ""]).encode() + data)
        async with asyncio.timeout(silence_seconds):
            raw = await reader.readuntil(b"\r\n\r\n")
        first, answer.headers = parse_head(raw[:-4])
        answer.status = int(first.split()[1])
        framed = _Body(answer.headers, empty=method == "HEAD" or answer.status in {204, 304})
        while not framed.whole:
            async with asyncio.timeout(silence_seconds):
                piece = await reader.read(READ_BYTES)
            if not piece:
                answer.end = End.WHOLE if framed.until_close else End.CUT
                break
            framed.feed(piece)
            answer.body = bytes(framed.data)
            if leave is not None and leave(answer.body):
                answer.end = End.LEFT
                break
        else:
            answer.end = End.WHOLE
    except TimeoutError:
        answer.end = End.SILENT
    except (OSError, asyncio.IncompleteReadError):
        answer.end = End.CUT
    finally:
        writer.close()
    return answer


@dataclass
class Crossing:
    """One request and its answer, as they crossed a tap: the raw bytes of the answer, and the request's body."""

    method: str
    path: str
    body: bytes
    raw: bytearray = field(default_factory=bytearray)

    @property
    def answer(self) -> Answer:
        """Return the answer, as far as it came."""
        head, found, rest = bytes(self.raw).partition(b"\r\n\r\n")
        if not found:
            return Answer()
        first, headers = parse_head(head)
        status = int(first.split()[1])
        framed = _Body(headers, empty=self.method == "HEAD" or status in {204, 304})
        framed.feed(rest)
        end = End.WHOLE if framed.whole or framed.until_close else End.CUT
        return Answer(status, headers, bytes(framed.data), end)


class Tap(LocalServer):
    """A relay that remembers. Requests cross whole, answers byte by byte as they come.

    :param target: URL of the server behind it.
    :param model: what ``model`` becomes in JSON bodies; None leaves them. For clients whose model's name is written down.
    """

    def __init__(self, target: str, *, model: str | None = None) -> None:
        super().__init__(limit=HEAD_BYTES)
        self._address = address_of(target)
        self._model = model
        self.crossings: list[Crossing] = []

    def forget(self) -> None:
        """Begin to remember anew."""
        self.crossings.clear()

    def posts(self, path: str = "/v1/responses") -> list[Crossing]:
        """Return what was posted there since then."""
        return [one for one in self.crossings if one.method == "POST" and one.path.partition("?")[0] == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection; when either side goes, the other is closed."""
        behind, ahead = await asyncio.open_connection(*self._address)
        current: list[Crossing] = []

        async def back() -> None:
            while piece := await behind.read(READ_BYTES):
                if current:
                    current[-1].raw += piece
                writer.write(piece)
                await writer.drain()
            writer.close()

        answers = asyncio.create_task(back())
        requests = asyncio.create_task(self._requests(reader, ahead, current))
        try:
            # The server may close first (it has died), or the client (it leaves): both end it all.
            await asyncio.wait({answers, requests}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answers, requests):
                task.cancel()
            await asyncio.gather(answers, requests, return_exceptions=True)
            ahead.close()

    async def _requests(
        self, reader: asyncio.StreamReader, ahead: asyncio.StreamWriter, current: list[Crossing]
    ) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            first, headers = parse_head(head)
            method, path, _ = first.split(" ", 2)
            framed = _Body(
                [*headers, ("Content-Length", "0")] if _has_no_body(headers) else headers, empty=False
            )
            while not framed.whole:
                piece = await reader.read(READ_BYTES)
                if not piece:
                    return
                framed.feed(piece)
            body = self._named(bytes(framed.data))
            crossing = Crossing(method, path, body)
            current.append(crossing)
            self.crossings.append(crossing)
            if framed.data or not _has_no_body(headers):
                head = re.sub(rb"(?im)^(content-length|transfer-encoding):[^\r]*\r\n", b"", head + b"\r\n")
                head += b"Content-Length: %d" % len(body)
            ahead.write(head + b"\r\n\r\n" + body)
            await ahead.drain()

    def _named(self, body: bytes) -> bytes:
        if self._model is None or not body:
            return body
        with contextlib.suppress(ValueError):
            posted = json.loads(body)
            if isinstance(posted, dict) and "model" in posted:
                return json.dumps({**posted, "model": self._model}).encode()
        return body


def _has_no_body(headers: Headers) -> bool:
    return not {"content-length", "transfer-encoding"} & {name.lower() for name, _ in headers}
