"""Which requests may be forwarded, as far as that can be decided from their head."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from aiohttp import hdrs
from aiohttp.http import HttpVersion11

from vllm_sse_proxy.server import errors
from vllm_sse_proxy.server.errors import ProxyError
from vllm_sse_proxy.server.headers import connection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from vllm_sse_proxy.settings import ServerSettings

# Upgrades for which aiohttp's parser stops reading HTTP; others (h2c) are ignored, as RFC 9110 allows.
_UPGRADES: Final = frozenset({"websocket", "tcp"})


def check_request(request: web.BaseRequest, target: str, settings: ServerSettings) -> None:
    """Refuse what cannot be forwarded.

    :raises ProxyError: with a status of 4xx or 5xx.
    """
    size = len(target) + sum(map(len, chain.from_iterable(request.raw_headers)))
    if size > settings.max_header_bytes:
        raise ProxyError(errors.HEADER_TOO_LARGE)
    _check_framing(request)
    length = request.content_length
    if length is not None and 0 < settings.max_request_body_bytes < length:
        raise ProxyError(errors.BODY_TOO_LARGE)
    _check_upgrade(request)
    if not target.startswith("/") or request.method == hdrs.METH_CONNECT:
        raise ProxyError(errors.INVALID_TARGET)
    if not is_allowed(target.partition("?")[0], settings.allow_paths):
        raise ProxyError(errors.PATH_NOT_ALLOWED)
    if not _is_encodable(target):
        raise ProxyError(errors.UNENCODABLE_TARGET)


def _check_framing(request: web.BaseRequest) -> None:
    """Refuse framing that the parser accepts and that the next server may read in another way (RFC 9112, section 6.1)."""
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING, ())
    if codings and request.version < HttpVersion11:
        raise ProxyError(errors.CODED_HTTP_1_0)
    if codings and ",".join(codings).strip().lower() != "chunked":
        raise ProxyError(errors.CODING_NOT_SUPPORTED)


def _check_upgrade(request: web.BaseRequest) -> None:
    if not is_upgrade(request):
        return
    if _upgrade_of(request) != "websocket":
        raise ProxyError(errors.UPGRADE_NOT_SUPPORTED)
    if request.method != hdrs.METH_GET or request.body_exists or request.version < HttpVersion11:
        raise ProxyError(errors.INVALID_UPGRADE)


def expects_continue(request: web.BaseRequest) -> bool:
    """Return whether the client waits for "100 Continue" before it sends the body.

    :raises ProxyError: it expects something else.
    """
    expected = request.headers.get("Expect")
    if expected is None or request.version < HttpVersion11:
        return False
    if expected.strip().lower() != "100-continue":
        raise ProxyError(errors.EXPECTATION_FAILED)
    return True


def is_upgrade(request: web.BaseRequest) -> bool:
    """Return whether a request asks for a protocol whose first byte would end HTTP on its connection."""
    return _upgrade_of(request) in _UPGRADES and b"upgrade" in connection_options(request.raw_headers)


def _upgrade_of(request: web.BaseRequest) -> str:
    return request.headers.get(hdrs.UPGRADE, "").strip().lower()


def is_allowed(path: str, allowed: Sequence[str]) -> bool:
    """Return whether a path may be forwarded; an empty list allows all.

    It is compared percent-decoded, as vLLM's router sees it. What another proxy in front of vLLM might resolve to a different
    path (dot segments, backslashes) is on no list.
    """
    if not allowed:
        return True
    path = unquote(path)
    if "\\" in path or not {".", ".."}.isdisjoint(path.split("/")):
        return False
    return any(path.startswith(entry[:-1]) if entry.endswith("*") else path == entry for entry in allowed)


def _is_encodable(text: str) -> bool:
    """Return whether text can be sent as UTF-8: aiohttp reads stray bytes as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
