"""Requests that two servers may read in two ways: request smuggling, header injection, and plain nonsense.

Each is sent as it stands on one connection. `MARK` is the path of a request that is hidden in another: no upstream may ever
see it as a request of its own, unless it was an honest second request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MARK: Final = b"/smuggled"
HIDDEN: Final = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


@dataclass(frozen=True)
class Attack:
    """One sequence of bytes.

    :ivar name: what it is.
    :ivar sent: the bytes.
    :ivar honest: a valid request: upstream has to see it.
    :ivar second: what looks hidden is a second request by RFC 9112, and one for the proxy too. It must not become one behind
        a server that took it for a body.
    """

    name: str
    sent: bytes
    honest: bool = False
    second: bool = False


def _post(*headers: bytes, body: bytes = b"", line: bytes = b"POST /first HTTP/1.1") -> bytes:
    return b"\r\n".join((line, b"Host: h", *headers, b"", b"")) + body


def _get(*headers: bytes, line: bytes = b"GET /first HTTP/1.1") -> bytes:
    return b"\r\n".join((line, b"Host: h", *headers, b"", b""))


def _chunked(*headers: bytes, body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked", *headers, body=body)


_CL: Final = b"Content-Length: "
_TE: Final = b"Transfer-Encoding: "
_LEN: Final = str(len(HIDDEN)).encode()
_CLTE: Final = b"0\r\n\r\n" + HIDDEN

ATTACKS: Final = (
    Attack("a plain POST", _post(_CL + b"3", body=b"abc"), honest=True),
    Attack("a chunked POST", _chunked(body=b"3\r\nabc\r\n0\r\n\r\n"), honest=True),
    Attack("two requests in one segment", _get() + _get(line=b"GET /second HTTP/1.1"), honest=True),
    Attack("a chunk extension", _chunked(body=b"3;a=b\r\nabc\r\n0\r\n\r\n"), honest=True),
    Attack("a trailer", _chunked(body=b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"), honest=True),
    Attack("CL + TE", _post(_CL + str(len(_CLTE)).encode(), _TE + b"chunked", body=_CLTE)),
    Attack(
        "TE + CL", _post(_TE + b"chunked", _CL + b"4", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN))
    ),
    Attack("CL 0 + TE", _post(_CL + b"0", _TE + b"chunked", body=_CLTE)),
    Attack("two Content-Lengths that differ", _post(_CL + b"0", _CL + _LEN, body=HIDDEN)),
    Attack("two Content-Lengths, larger first", _post(_CL + _LEN, _CL + b"0", body=HIDDEN)),
    Attack("two Content-Lengths that agree", _post(_CL + b"3", _CL + b"3", body=b"abc")),
    Attack("a list of Content-Lengths", _post(_CL + b"3, 3", body=b"abc")),
    Attack("a list of Content-Lengths that differ", _post(_CL + b"0, " + _LEN, body=HIDDEN)),
    Attack("Content-Length: +3", _post(_CL + b"+3", body=b"abc")),
    Attack("Content-Length: -3", _post(_CL + b"-3", body=b"abc")),
    Attack("Content-Length: 0x3", _post(_CL + b"0x3", body=b"abc")),
    Attack("Content-Length: 3_0", _post(_CL + b"3_0", body=b"a" * 30)),
    Attack("Content-Length: 1e1", _post(_CL + b"1e1", body=b"a" * 10)),
    Attack("an empty Content-Length", _post(_CL, body=HIDDEN)),
    Attack("a Content-Length of 30 digits", _post(_CL + b"9" * 30, body=b"abc")),
    Attack("Content-Length in other digits", _post(_CL + "٣".encode(), body=b"abc")),
    Attack("a space before the colon of Content-Length", _post(b"Content-Length : " + _LEN, body=HIDDEN)),
    Attack("a tab before the colon of Content-Length", _post(b"Content-Length\t: " + _LEN, body=HIDDEN)),
    Attack(
        "a space before the colon of Transfer-Encoding", _post(b"Transfer-Encoding : chunked", body=_CLTE)
    ),
    Attack("a space before a header's name", _post(b" Content-Length: " + _LEN, body=HIDDEN)),
    Attack("Transfer-Encoding: xchunked", _post(_TE + b"xchunked", body=_CLTE)),
    Attack("Transfer-Encoding: identity", _post(_TE + b"identity", _CL + b"3", body=b"abc")),
    Attack("Transfer-Encoding: chunked, identity", _post(_TE + b"chunked, identity", body=_CLTE)),
    Attack(
        "Transfer-Encoding: identity, chunked", _post(_TE + b"identity, chunked", body=_CLTE), second=True
    ),
    Attack("Transfer-Encoding: gzip, chunked", _post(_TE + b"gzip, chunked", body=_CLTE), second=True),
    Attack("Transfer-Encoding: chunked, chunked", _post(_TE + b"chunked, chunked", body=_CLTE)),
    Attack("Transfer-Encoding twice", _post(_TE + b"chunked", _TE + b"identity", body=_CLTE)),
    Attack("Transfer-Encoding: CHUNKED", _post(_TE + b"CHUNKED", body=b"3\r\nabc\r\n0\r\n\r\n"), honest=True),
    Attack("Transfer-Encoding with a vertical tab", _post(_TE + b"\x0bchunked", body=_CLTE)),
    Attack("Transfer-Encoding in quotes", _post(_TE + b'"chunked"', body=_CLTE)),
    Attack(
        "Transfer_Encoding with CL",
        _post(b"Transfer_Encoding: chunked", _CL + b"5", body=b"0\r\n\r\n" + HIDDEN),
        second=True,
    ),
    Attack(
        "Transfer-Encoding hidden by Connection",
        _post(b"Connection: transfer-encoding", _TE + b"chunked", body=_CLTE),
        second=True,
    ),
    Attack(
        "Content-Length hidden by Connection", _post(b"Connection: content-length", _CL + _LEN, body=HIDDEN)
    ),
    Attack("chunked in HTTP/1.0", _post(_TE + b"chunked", body=_CLTE, line=b"POST /first HTTP/1.0")),
    Attack("a folded header (obs-fold)", _post(b"X-A: 1\r\n Content-Length: " + _LEN, body=HIDDEN)),
    Attack("Transfer-Encoding, folded", _post(b"Transfer-Encoding:\r\n chunked", body=_CLTE)),
    Attack("a bare CR in a header", _get(b"X-A: 1\rX-B: 2")),
    Attack("a bare LF in a header", _get(b"X-A: 1\nX-B: 2")),
    Attack(
        "a bare CR that hides Transfer-Encoding", _post(b"X-A: 1\rTransfer-Encoding: chunked", body=_CLTE)
    ),
    Attack("a bare LF that hides a Content-Length", _post(b"X-A: 1\nContent-Length: " + _LEN, body=HIDDEN)),
    Attack("a head that ends in LF LF", b"GET /first HTTP/1.1\nHost: h\n\n"),
    Attack("a head that ends in CR CR", b"GET /first HTTP/1.1\rHost: h\r\r" + HIDDEN),
    Attack("NUL in a header", _get(b"X-A: 1\x002")),
    Attack("NUL in a header's name", _get(b"X-\x00A: 1")),
    Attack("NUL in the path", _get(line=b"GET /fi\x00rst HTTP/1.1")),
    Attack("a header without a colon", _get(b"Nonsense")),
    Attack("a header without a name", _get(b": value")),
    Attack("a header's name with a space", _get(b"X A: 1")),
    Attack("a header of 1 MB", _get(b"X-A: " + b"x" * 2**20)),
    Attack("20,000 headers", _get(*(b"X-%d: 1" % n for n in range(20_000)))),
    Attack("a path of 1 MB", _get(line=b"GET /" + b"x" * 2**20 + b" HTTP/1.1")),
    Attack("a chunk of size -1", _chunked(body=b"-1\r\nabc\r\n0\r\n\r\n")),
    Attack("a chunk size with a plus", _chunked(body=b"+3\r\nabc\r\n0\r\n\r\n")),
    Attack("a chunk size of 0x3", _chunked(body=b"0x3\r\nabc\r\n0\r\n\r\n")),
    Attack("a chunk size with an underscore", _chunked(body=b"0_3\r\nabc\r\n0\r\n\r\n")),
    Attack("a chunk size of 17 digits", _chunked(body=b"00000000000000003\r\nabc\r\n0\r\n\r\n")),
    Attack("a chunk size that overflows", _chunked(body=b"10000000000000003\r\nabc\r\n0\r\n\r\n")),
    Attack("a chunk size with spaces", _chunked(body=b"3 \r\nabc\r\n0\r\n\r\n")),
    Attack("an empty chunk size", _chunked(body=b"\r\nabc\r\n0\r\n\r\n" + HIDDEN)),
    Attack("a chunk longer than its size", _chunked(body=b"3\r\nabcdef\r\n0\r\n\r\n" + HIDDEN)),
    Attack("a chunk shorter than its size", _chunked(body=b"20\r\nabc\r\n0\r\n\r\n" + HIDDEN)),
    Attack("a chunk size ended by LF", _chunked(body=b"3\nabc\r\n0\r\n\r\n")),
    Attack("chunk data ended by LF", _chunked(body=b"3\r\nabc\n0\r\n\r\n")),
    Attack("a bare CR after a chunk size", _chunked(body=b"3\rabc\r\n0\r\n\r\n")),
    Attack("LF within a chunk extension", _chunked(body=b"3;a\nabc\r\n0\r\n\r\n" + HIDDEN)),
    Attack(
        "a trailer that is a Content-Length",
        _chunked(body=b"0\r\nContent-Length: " + _LEN + b"\r\n\r\n" + HIDDEN),
    ),
    Attack("a chunk extension of 1 MB", _chunked(body=b"3;" + b"a" * 2**20 + b"\r\nabc\r\n0\r\n\r\n")),
    Attack("no end of the chunks", _chunked(body=b"3\r\nabc\r\n")),
    Attack("the absolute form of another host", _get(line=b"GET http://elsewhere.test/first HTTP/1.1")),
    Attack("the absolute form, with a user", _get(line=b"GET http://a:b@elsewhere.test/first HTTP/1.1")),
    Attack("another scheme", _get(line=b"GET file:///etc/passwd HTTP/1.1")),
    Attack("a target that begins with @", _get(line=b"GET @elsewhere.test/first HTTP/1.1")),
    Attack("a target that begins with //", _get(line=b"GET //elsewhere.test/first HTTP/1.1")),
    Attack("CONNECT", _get(line=b"CONNECT elsewhere.test:443 HTTP/1.1") + HIDDEN),
    Attack("CONNECT with a path", _get(line=b"CONNECT /first HTTP/1.1")),
    Attack("TRACE", _get(line=b"TRACE /first HTTP/1.1")),
    Attack("a method of nonsense", _get(line=b"G{T /first HTTP/1.1")),
    Attack("a method in lower case", _get(line=b"get /first HTTP/1.1")),
    Attack("HTTP/2.0 in a request line", _get(line=b"GET /first HTTP/2.0")),
    Attack("HTTP/1.10", _get(line=b"GET /first HTTP/1.10")),
    Attack("HTTP/0.9", b"GET /first\r\n\r\n"),
    Attack("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Attack("two spaces in the request line", _get(line=b"GET  /first HTTP/1.1")),
    Attack("a tab in the request line", _get(line=b"GET\t/first\tHTTP/1.1")),
    Attack("a space in the path", _get(line=b"GET /fir st HTTP/1.1")),
    Attack("two Hosts", _get(b"Host: other")),
    Attack("no Host", b"GET /first HTTP/1.1\r\n\r\n"),
    Attack(
        "CR LF in a query, percent-encoded",
        _get(line=b"GET /first?a=%0d%0aX-Injected:%201 HTTP/1.1"),
        honest=True,
    ),
    Attack("CR LF in a path, percent-encoded", _get(line=b"GET /first%0d%0aX-Injected:%201 HTTP/1.1")),
    Attack(
        "an Upgrade to h2c",
        _get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    ),
    Attack("a GET with a body", _get(_CL + _LEN) + HIDDEN),
    Attack("Expect: nonsense", _post(b"Expect: nonsense", _CL + b"3", body=b"abc")),
    Attack("an empty line before the request", b"\r\n" + _get()),
    Attack("nonsense before the request", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + _get()),
)
