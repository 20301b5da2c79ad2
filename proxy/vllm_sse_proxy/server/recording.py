"""Recordings of streams, for those who ask for them: what the client sent, what upstream sent, and what the client got.

A recording is a folder that ``check``, ``repair`` and this project's tests read: ``upstream.sse``, ``client.sse``,
``request.json``, ``origin.toml``, and ``exchange.json`` with everything else. It holds prompts and answers. It holds no
credential: no header but a few that are known to be harmless, no value of the query, and nothing of the bodies that has the
name of a credential, wherever it is repeated.

Theory of operation. The gateway wraps the :class:`~vllm_sse_proxy.server.handling.StreamRequest` of each request; the wrapper
sees the body on its way in, and wraps the normalizer, which sees both streams. They are kept in memory, within limits, until
the stream is over, and then written by a thread. So nothing waits for a disk, and no failure of one can reach a stream.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import logging
import os
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from vllm_sse_proxy import __version__
from vllm_sse_proxy.logs import emit
from vllm_sse_proxy.server.routes import query_pairs
from vllm_sse_proxy.settings import SettingsError
from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.server.handling import StreamRequest
    from vllm_sse_proxy.settings import ServerSettings
    from vllm_sse_proxy.stream.normalizer import StreamNormalizer

MAX_STREAM_BYTES: Final = 16 * 1024 * 1024
"""Of one recording in memory, both streams and the request; the rest of a longer stream is left out."""
MAX_HELD_BYTES: Final = 128 * 1024 * 1024
"""Of all recordings in memory; a stream that begins while there is more is not recorded."""

_LEFT_OUT: Final = "[left out]"
_CREDENTIAL: Final = re.compile(
    r"authorization|api[-_]?key|passw(or)?d|secret|cookie|credential|private[-_]?key|"
    r"(access|refresh|bearer|auth|id|session|security)[-_]?token|\A(x[-_])?token\Z",
    re.IGNORECASE,
)
"""Names of members, headers and parameters whose values are left out."""
_HEADERS_MEMBER: Final = re.compile(r"headers?\Z", re.IGNORECASE)
_IN_URL: Final = re.compile(rb"(://)[^/@\s\"'\\]+@")
_HARMLESS_VALUE: Final = re.compile(r"\d{1,20}|true|false", re.IGNORECASE)
_HARMLESS_HEADERS: Final = (
    "Content-Type",
    "Accept",
    "User-Agent",
    "OpenAI-Beta",
    "Anthropic-Version",
    "Anthropic-Beta",
)
_SHORTEST_SECRET: Final = 6
"""Characters: shorter values are left out where they stand, and not looked for elsewhere."""
_NAME: Final = re.compile(r"\d{8}T\d{6}-\d{6}-\d+-\d+")
"""Names of recordings: the time, the process, a number."""


@dataclass(eq=False)
class Recorder:
    """Writes recordings into one folder; the oldest make room for new ones.

    :ivar settings: say where, and how many and how large they may be.
    """

    settings: ServerSettings
    metrics: Metrics
    held: int = 0
    _folder: Path = field(init=False)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _writing: set[asyncio.Future[None]] = field(default_factory=set)
    _has_failed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._folder = Path(self.settings.record or "")

    def start(self) -> None:
        """Make sure that recordings can be written, and say that they are.

        :raises SettingsError: they cannot.
        """
        check_folder(self.settings)
        emit(
            logging.WARNING,
            "streams are recorded: requests and answers, with everything that users write, but no credentials",
            folder=str(self._folder),
            max_streams=self.settings.record_max_streams,
            max_bytes=self.settings.record_max_bytes,
        )

    async def close(self) -> None:
        """Wait until everything is written."""
        while self._writing:
            await asyncio.gather(*self._writing, return_exceptions=True)

    def following(self, stream: StreamRequest, request: web.BaseRequest) -> StreamRequest:
        """Return a request that is recorded if a stream answers it."""
        if self.held > MAX_HELD_BYTES:
            self.metrics.recordings.labels("skipped").inc()
            return stream
        return cast("StreamRequest", FollowedRequest(stream, Recording(self, request)))

    def write(self, recording: Recording) -> None:
        """Write a recording, some time soon."""
        at = datetime.now(UTC)
        name = f"{at:%Y%m%dT%H%M%S-%f}-{os.getpid()}-{next(self._numbers)}"
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(None, self._write, name, at, recording)
        self._writing.add(writing)
        writing.add_done_callback(partial(self._written, recording))

    def _written(self, recording: Recording, writing: asyncio.Future[None]) -> None:
        self._writing.discard(writing)
        recording.release()
        error = None if writing.cancelled() else writing.exception()
        self.metrics.recordings.labels("failed" if error is not None else "written").inc()
        if error is not None and not self._has_failed:
            self._has_failed = True
            emit(
                logging.ERROR,
                "a recording could not be written; further failures are only counted",
                folder=str(self._folder),
                reason=str(error) or type(error).__name__,
            )

    def _write(self, name: str, at: datetime, recording: Recording) -> None:
        """Write a recording; in a thread."""
        made = recording.files(at)
        half = Path(tempfile.mkdtemp(prefix=".half-", dir=self._folder))  # readable by its owner only
        try:
            for file, data in made.items():
                descriptor = os.open(half / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as opened:
                    opened.write(data)
            with self._lock:  # two threads that both made room for one would exceed the limit
                self._make_room(sum(map(len, made.values())))
                half.rename(self._folder / name)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise

    def _make_room(self, size: int) -> None:
        """Remove the oldest recordings until one more of this size is within the limits. Other workers may do so, too."""
        names = sorted(entry.name for entry in self._folder.iterdir() if _NAME.fullmatch(entry.name))
        sizes = {name: _size_of(self._folder / name) for name in names}
        total, most = sum(sizes.values()), self.settings.record_max_bytes
        for left, name in zip(range(len(names), 0, -1), names, strict=True):
            if left < self.settings.record_max_streams and total + size <= most:
                break
            shutil.rmtree(self._folder / name, ignore_errors=True)
            total -= sizes[name]


def find_folder(settings: ServerSettings) -> None:
    """Find out whether the folder of the recordings can be made and written to, and make nothing.

    :raises SettingsError: it cannot.
    """
    if settings.record is None:
        return
    folder = Path(settings.record)
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
    why = None
    if not there.is_dir():
        why = errno.ENOTDIR
    elif not os.access(there, os.W_OK | os.X_OK):
        why = errno.EACCES
    if why is not None:
        where = "" if there == folder else f"{there}: "
        raise SettingsError([f"record: {folder}: {where}{os.strerror(why)}"])


def check_folder(settings: ServerSettings) -> None:
    """Make the folder of the recordings, if there are to be any, and make sure that it can be written to.

    :raises SettingsError: it cannot.
    """
    if settings.record is None:
        return
    folder = Path(settings.record)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError([f"record: {folder}: {error.strerror or error}"]) from None


@dataclass(eq=False)
class Recording:
    """One stream on its way.

    :ivar request: the client's.
    """

    recorder: Recorder
    request: web.BaseRequest
    _body: bytes = b""
    _sent: bytes = b""
    _upstream: list[bytes] = field(default_factory=list)
    _client: list[bytes] = field(default_factory=list)
    _size: int = 0
    _is_whole: bool = True
    _end: BodyEnd | None = None
    _facts: Mapping[str, Any] = field(default_factory=dict)

    def take_request(self, body: bytes) -> None:
        """Keep what the client sent."""
        self._body = body

    def take_sent(self, body: bytes) -> None:
        """Keep what upstream was sent, the last time."""
        self._sent = b"" if body is self._body else body

    def begin(self) -> None:
        """Begin to count what is kept: a stream answers the request."""
        if not self._has_room(len(self._body) + len(self._sent)):
            self._body = self._sent = b""

    def take(self, chunk: bytes, made: bytes) -> None:
        """Keep a piece of upstream's stream, and what was made of it."""
        if self._is_whole and self._has_room(len(chunk) + len(made)):
            self._upstream.append(chunk)
            self._client.append(made)
        else:
            self._is_whole = False

    def end(self, end: BodyEnd) -> None:
        """Note how upstream's body ended."""
        self._end = end

    def finish(self, stream: StreamRequest, normalizer: StreamNormalizer) -> None:
        """The stream is over: have it written."""
        exchange, tally = stream.exchange, normalizer.tally
        self._facts = {
            "family": stream.handler.family.name,
            "request_id": exchange.request_id,
            "status": exchange.status,
            "upstream_status": exchange.upstream_status,
            "ending": None if normalizer.ending is None else normalizer.ending.value,
            "request_repairs": exchange.request_repairs or [],
            "repairs": dict(tally.repairs),
            "events_in": tally.events_in,
            "events_out": tally.events_out,
        }
        self.recorder.write(self)

    def release(self) -> None:
        """Let go of what was kept in memory."""
        self.recorder.held -= self._size
        self._size = 0
        self._upstream, self._client, self._body, self._sent = [], [], b"", b""

    def files(self, at: datetime) -> dict[str, bytes]:
        """Return the files of the recording, without credentials."""
        secrets: set[str] = set(_secrets_of_headers(self.request.headers))
        documents = {
            name: _without_credentials(document, secrets)
            for name, body in (("request.json", self._body), ("sent.json", self._sent))
            if (document := _document(body)) is not None
        }
        path, _, query = self.request.raw_path.partition("?")
        exchange = {
            "recorded_at": at.isoformat(timespec="seconds"),
            "method": self.request.method,
            "path": path,
            "query": _harmless_query(query, secrets),
            "headers": {
                name: self.request.headers[name] for name in _HARMLESS_HEADERS if name in self.request.headers
            },
            "is_whole": self._is_whole,
            "is_read_to_its_end": self._end is not None,
            **self._facts,
        }
        made = {name: _indented(document) for name, document in documents.items()}
        made |= {
            "upstream.sse": b"".join(self._upstream),
            "client.sse": b"".join(self._client),
            "exchange.json": _indented(exchange),
            "origin.toml": _origin(at, self._end or BodyEnd.EOF),
        }
        return {name: _cleaned(data, secrets) for name, data in made.items()}

    def _has_room(self, size: int) -> bool:
        """Return whether so many bytes more may be kept, and count them if so."""
        if self._size + size > MAX_STREAM_BYTES:
            self._is_whole = False
            return False
        self._size += size
        self.recorder.held += size
        return True


class FollowedRequest:
    """A :class:`~vllm_sse_proxy.server.handling.StreamRequest` that is recorded on its way; all else is the request's own."""

    def __init__(self, stream: StreamRequest, recording: Recording) -> None:
        self._stream = stream
        self._recording = recording

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Keep the body as it came, and as it is sent."""
        self._recording.take_request(body)
        sent = await self._stream.take_body(body, document)
        self._recording.take_sent(sent)
        return sent

    def settled(self) -> StreamRequest | None:
        """Return the request as its body has shown it to be, recorded as well."""
        settled = self._stream.settled()
        if settled is None:
            return None
        self._stream = settled
        return cast("StreamRequest", self)

    def after_refusal(self, status: int, refusal: bytes) -> bytes | None:
        """Keep the body that is sent instead of a refused one."""
        again = self._stream.after_refusal(status, refusal)
        if again is not None:
            self._recording.take_sent(again)
        return again

    def normalizer(self) -> StreamNormalizer:
        """Make the normalizer; what goes in and comes out is kept."""
        self._recording.begin()
        return cast("StreamNormalizer", FollowedNormalizer(self._stream.normalizer(), self._recording))

    def note_end(self, normalizer: StreamNormalizer) -> None:
        """Have the recording written: the stream is over."""
        followed = cast("FollowedNormalizer", normalizer)
        self._stream.note_end(followed.inner)
        self._recording.finish(self._stream, followed.inner)


class FollowedNormalizer:
    """A :class:`~vllm_sse_proxy.stream.normalizer.StreamNormalizer` whose bytes are kept; all else is its own.

    :ivar inner: the normalizer.
    """

    def __init__(self, inner: StreamNormalizer, recording: Recording) -> None:
        self.inner = inner
        self._recording = recording

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk, and return what to send."""
        made = self.inner.feed(chunk)
        self._recording.take(chunk, made)
        return made

    def finish(self, end: BodyEnd) -> bytes:
        """Upstream's body is over: return the last bytes to send."""
        if self.inner.ending is None:
            self._recording.end(end)
        made = self.inner.finish(end)
        self._recording.take(b"", made)
        return made


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _indented(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _without_credentials(value: Any, secrets: set[str], *, all_strings: bool = False) -> Any:
    """Return a JSON value without the strings that have the name of a credential, and add those to ``secrets``.

    :param all_strings: leave out every string: those of ``headers``, whatever they are called.
    """
    if isinstance(value, dict):
        made = {}
        for name, member in value.items():
            is_secret = all_strings or _CREDENTIAL.search(name) is not None
            if isinstance(member, str) and is_secret:
                secrets.update(_parts(member))
                made[name] = _LEFT_OUT
            else:
                in_headers = isinstance(member, dict) and _HEADERS_MEMBER.search(name) is not None
                made[name] = _without_credentials(member, secrets, all_strings=in_headers)
        return made
    if isinstance(value, list):
        return [_without_credentials(entry, secrets) for entry in value]
    return value


def _secrets_of_headers(headers: Mapping[str, str]) -> Iterable[str]:
    for name, value in headers.items():
        if _CREDENTIAL.search(name):
            yield from _parts(value)


def _parts(value: str) -> list[str]:
    """Return a credential, and the same without its scheme (``Bearer``)."""
    return [value, value.rpartition(" ")[2]]


def _harmless_query(query: str, secrets: set[str]) -> dict[str, str]:
    """Return the parameters of a query; values that may be anything are left out."""
    shown = {}
    for name, value in query_pairs(query) if query else ():
        is_harmless = _HARMLESS_VALUE.fullmatch(value) is not None and not _CREDENTIAL.search(name)
        shown[name] = value if is_harmless else _LEFT_OUT
        if not is_harmless:
            secrets.update(_parts(value))
    return shown


def _cleaned(data: bytes, secrets: set[str]) -> bytes:
    """Return the bytes of a file without secrets that are repeated in it, and without users and passwords in URLs."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            for spelling in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
                data = data.replace(spelling.encode(), _LEFT_OUT.encode())
    return _IN_URL.sub(rb"\1", data)


def _origin(at: datetime, end: BodyEnd) -> bytes:
    """Return ``origin.toml``, in the form that the goldens of tests/recordings have."""
    lines = (
        'release = "unknown"',
        f'source = "recorded by vllm-sse-proxy {__version__} on {at:%Y-%m-%d}"',
        f'end = "{end.value}"',
        "defects = []",
        'symptom = ""',
    )
    return "\n".join(lines).encode() + b"\n"


def _size_of(folder: Path) -> int:
    try:
        return sum(entry.stat().st_size for entry in os.scandir(folder))
    except OSError:
        return 0  # another worker removes it
