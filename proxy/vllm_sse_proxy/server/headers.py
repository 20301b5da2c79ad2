"""Which headers are forwarded, and which the proxy adds (RFC 9110, section 7.6).

Headers are read from the raw lists, so that repeated ones stay repeated, in order, in the spelling they came in. Only those
about a single connection are removed.

One limit: aiohttp writes headers as UTF-8, so a value that is not UTF-8 (allowed by RFC 9110 as "obs-text", but hardly ever
sent) cannot be forwarded unchanged; such a header is left out rather than altered.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vllm_sse_proxy.server.credentials import Credentials

RawHeaders = tuple[tuple[bytes, bytes], ...]

ERROR_HEADER: Final = "X-SSE-Proxy-Error"
"""Marks answers of the proxy itself; its value is the error's code."""

REQUEST_ID_HEADER: Final = "X-Request-Id"

# RFC 9110, section 7.6.1; Proxy-* concern the next hop only, and trailers are not forwarded (so neither is Trailer).
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# A sender may list any header as hop-by-hop, but not those that frame or address the message.
_NEVER_LISTED: Final = frozenset({b"content-length", b"host"})

_CONNECTION_LENGTH: Final = len("connection")
_NONE: Final[frozenset[bytes]] = frozenset()

# Says where else the server can be reached: true of upstream, not of the proxy.
_OWN_AUTHORITY: Final = frozenset({b"alt-svc"})

# Describe the bytes of a body, which are others after a rewrite.
_OF_BYTES: Final = frozenset(
    {
        b"content-length",
        b"content-encoding",
        b"etag",
        b"digest",
        b"content-digest",
        b"repr-digest",
        b"content-md5",
    }
)

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")

# Identifies requests and protects nothing: the system's own random bytes would cost each request a system call. Each worker
# is a new process, not a fork, so no two draw the same.
_ids: Final = random.Random()  # noqa: S311 - see above

# The proxy answers "Expect: 100-continue" itself, once upstream takes the body.
_ANSWERED_HERE: Final = frozenset({b"expect"})


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    """Makes the headers of forwarded requests; one per process.

    :ivar instance: this process's name in ``Via``, a token; a request that already has it has gone round in a loop.
    :ivar credentials: what upstream gets instead of the client's, or beside them.
    :ivar preserve_host: forward the client's ``Host`` instead of upstream's authority.
    """

    instance: str
    credentials: Credentials
    preserve_host: bool

    def request_headers(
        self, raw: RawHeaders, *, peer: str | None, scheme: str, request_id: str, identity: bool
    ) -> CIMultiDict[str]:
        """Return the headers of the request to upstream.

        :param peer: the client's address, for ``X-Forwarded-For``; None for a socket without one.
        :param identity: ask for an uncompressed answer, because it will be read.
        """
        headers = end_to_end(raw, also=_ANSWERED_HERE)
        host = headers.popone("Host", None)
        if self.preserve_host and host is not None:
            headers["Host"] = host
        headers[REQUEST_ID_HEADER] = request_id
        if identity:
            headers["Accept-Encoding"] = "identity"
        if peer is not None:
            _append(headers, "X-Forwarded-For", peer)
        headers.setdefault("X-Forwarded-Proto", scheme)
        if host is not None:
            headers.setdefault("X-Forwarded-Host", host)
        _append(headers, "Via", f"1.1 {self.instance}")
        self.credentials.apply(headers)
        return headers

    def is_loop(self, via: Sequence[str]) -> bool:
        """Return whether a request has been here before (upstream is, in some roundabout way, the proxy itself)."""
        return any(self.instance in value for value in via)


def end_to_end(raw: RawHeaders, *, also: frozenset[bytes] = frozenset()) -> CIMultiDict[str]:
    """Return the headers that are meant for the other end, without those in ``also`` (lower case).

    A repeated header keeps its first spelling: aiohttp's client takes ``X-A`` and ``x-a`` for two headers, and keeps only one.
    """
    listed = connection_options(raw) - _NEVER_LISTED
    headers: CIMultiDict[str] = CIMultiDict()
    spelling: dict[bytes, str] = {}
    for name, value in raw:
        key = name.lower()
        if key not in _HOP_BY_HOP and key not in also and key not in listed:
            try:
                headers.add(spelling.setdefault(key, name.decode("ascii")), value.decode())
            except UnicodeDecodeError:
                continue
    return headers


def connection_options(raw: RawHeaders) -> frozenset[bytes]:
    """Return what the ``Connection`` headers list, in lower case."""
    lines = [
        value for name, value in raw if len(name) == _CONNECTION_LENGTH and name.lower() == b"connection"
    ]
    if not lines:
        return _NONE
    return frozenset(
        option for line in lines for part in line.split(b",") if (option := part.strip().lower())
    )


def answer_headers(raw: RawHeaders) -> CIMultiDict[str]:
    """Return the headers of an answer that is forwarded unread. Alt-Svc would lead clients past the proxy."""
    return end_to_end(raw, also=_OWN_AUTHORITY)


def stream_headers(raw: RawHeaders) -> CIMultiDict[str]:
    """Return the headers of a repaired stream: upstream's, adapted to a body that is written as it comes.

    They keep proxies on the way from buffering and compressing it, and no longer describe upstream's bytes.
    """
    headers = end_to_end(raw, also=_OWN_AUTHORITY | _OF_BYTES)
    headers["Cache-Control"] = "no-cache, no-transform"
    headers["X-Accel-Buffering"] = "no"
    return headers


def rewritten_headers(raw: RawHeaders, length: int) -> CIMultiDict[str]:
    """Return the headers of an answer whose whole body was replaced by one of this length in bytes."""
    headers = end_to_end(raw, also=_OWN_AUTHORITY | _OF_BYTES)
    headers["Content-Length"] = str(length)
    return headers


def request_id_of(values: Iterable[str]) -> str:
    """Return the client's request id if it sent one that is harmless wherever it will appear, otherwise a new one."""
    sent = list(values)
    return sent[0] if len(sent) == 1 and _REQUEST_ID.fullmatch(sent[0]) else f"{_ids.getrandbits(128):032x}"


def _append(headers: CIMultiDict[str], name: str, value: str) -> None:
    """Append to a header that holds a list; its lines become one, which means the same (RFC 9110, section 5.3)."""
    headers[name] = ", ".join([*headers.getall(name, ()), value])
