"""The server that is probed: how it is reached, what it says of itself, and why it cannot be probed if it cannot."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import hdrs
from aiohttp.client_exceptions import UnixClientConnectorError

from vllm_sse_proxy.demo.clients import mapping, object_of
from vllm_sse_proxy.demo.report import printable
from vllm_sse_proxy.demo.upstream import DEMO_VERSION
from vllm_sse_proxy.server.content import media_type_of
from vllm_sse_proxy.server.headers import ERROR_HEADER
from vllm_sse_proxy.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_BYTES: Final = 1024 * 1024
"""Of an answer about the server: a list of models, or a page of HTML."""
_SHOWN: Final = 200
"""Characters of what a server says in an error."""
_REDIRECTS: Final = range(300, 400)
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]*)<", re.IGNORECASE)


class ProbeError(Exception):
    """The server cannot be probed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that can be probed.

    :ivar url: without credentials.
    :ivar version: what it says of itself; None: it does not.
    :ivar models: the names that it serves.
    :ivar model: the one that is asked.
    :ivar notes: what the reader of the report should know about it.
    """

    url: str
    version: str | None
    models: tuple[str, ...]
    model: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    status: int
    headers: Any
    body: bytes

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people."""
        return media_type_of(self.headers) == "text/html" or self.body.lstrip()[:14].lower().startswith(
            (b"<!doctype html", b"<html")
        )

    @property
    def server(self) -> str:
        """What answered, as it calls itself."""
        return printable(self.headers.get(hdrs.SERVER, ""))[:_SHOWN]


async def look(
    client: aiohttp.ClientSession, base: str, url: str, wanted: str | None, key_name: str | None
) -> Target:
    """Find out what a server is.

    :param base: its address, without the ``/v1``; ``url``: the same without credentials, to be shown.
    :param wanted: the model that is to be asked; None: the first one.
    :param key_name: the variable that the key came from; None: there is none.
    :raises ProbeError: it cannot be probed.
    """
    listing = await _get(client, base, url, "/v1/models")
    _check(listing, url, key_name)
    models = _models_of(listing, url)
    version = await _get(client, base, url, "/version")
    said = mapping(object_of(version.body)).get("version") if version.status == HTTPStatus.OK else None
    release = printable(said)[:_SHOWN] if isinstance(said, str) else None
    return Target(
        url=url,
        version=release,
        models=models,
        model=_chosen(models, wanted),
        notes=tuple(await _notes(client, base, url, listing, release)),
    )


async def _get(
    client: aiohttp.ClientSession, base: str, url: str, path: str, *, expecting: str | None = None
) -> _Page:
    """Ask for something small.

    :param expecting: what the request expects of the server, for the sake of a body that is then needed.
    :raises ProbeError: no answer.
    """
    try:
        headers, body_sent = ({}, None) if expecting is None else ({hdrs.EXPECT: expecting}, b"{}")
        async with client.get(base + path, headers=headers, data=body_sent, allow_redirects=False) as answer:
            body = bytearray()
            with suppress(aiohttp.ClientPayloadError):  # what came is enough to say what it is
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > _MOST_BYTES:
                        break
            return _Page(answer.status, answer.headers, bytes(body))
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise ProbeError(unreachable(url, error)) from None


async def is_alive(client: aiohttp.ClientSession, base: str) -> bool:
    """Return whether the server still works: vLLM answers /health with 503 once its engine is dead."""
    try:
        async with client.get(f"{base}/health", allow_redirects=False) as answer:
            return answer.status != HTTPStatus.SERVICE_UNAVAILABLE
    except (aiohttp.ClientError, OSError):
        return False


def unreachable(url: str, error: Exception) -> str:
    """Return why there is no answer, and what to do about it."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"{url}: there is no such host"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            reason = getattr(getattr(error, "certificate_error", error), "verify_message", "") or "TLS failed"
            return (
                f"{url}: its certificate or TLS cannot be used: {reason} (--ca-file trusts another authority)"
            )
        case ssl.SSLError():
            return f"{url}: TLS failed: {error.reason}"
        case TimeoutError():
            return f"{url}: no answer in time"
        case aiohttp.ClientConnectorError():
            return f"{url}: {_unconnected(error)}"
        case aiohttp.ServerDisconnectedError():
            return f"{url}: closed the connection without an answer. Is it http rather than https, or the other way round?"
        case aiohttp.ClientOSError():
            return f"{url}: the connection broke before an answer"
        case aiohttp.ClientResponseError():
            return f"{url}: what answers is not HTTP"
        case _:
            return f"{url}: {type(error).__name__}"


def _unconnected(error: aiohttp.ClientConnectorError) -> str:
    """Return why no connection came about."""
    reason = error.os_error.strerror or str(error.os_error)
    if isinstance(error, UnixClientConnectorError):
        return f"{reason}. Is vLLM running, with --uds and this path?"
    if isinstance(error.os_error, ConnectionRefusedError):
        return "nothing listens there. Is vLLM running, and is this its port?"
    return f"cannot be connected to: {reason}"


def _check(listing: _Page, url: str, key_name: str | None) -> None:
    """Check that the list of models can be used.

    :raises ProbeError: it cannot.
    """
    status = listing.status
    who = f" ({listing.server})" if listing.server else ""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        if key_name is None:
            raise ProbeError(
                f"{url}: wants an API key (HTTP {status}): --api-key-env NAME takes it from a variable"
            )
        raise ProbeError(f"{url}: does not accept the API key in {key_name} (HTTP {status})")
    if listing.is_html:
        title = _TITLE.search(listing.body)
        named = f", {printable(title[1].decode(errors='replace')).strip()[:_SHOWN]!r}" if title else ""
        raise ProbeError(
            f"{url}: answers /v1/models with a page of HTML (HTTP {status}{named}){who}: this is a web server, not vLLM. "
            "Give vLLM's own address, or the path under which this server has it"
        )
    if status in _REDIRECTS:
        there = printable(listing.headers.get(hdrs.LOCATION, "somewhere else"))[:_SHOWN]
        raise ProbeError(f"{url}: sends on to {there} (HTTP {status}): give that address")
    if status != HTTPStatus.OK:
        raise ProbeError(f"{url}: answers /v1/models with HTTP {status}{who}: {_said(listing.body)}")


def _said(body: bytes) -> str:
    error = mapping(object_of(body).get("error"))
    message = error.get("message")
    text = message if isinstance(message, str) else body.decode(errors="replace")
    return printable(text)[:_SHOWN].strip() or "nothing"


def _models_of(listing: _Page, url: str) -> tuple[str, ...]:
    """Return the names of the models.

    :raises ProbeError: there are none.
    """
    data = object_of(listing.body).get("data")
    if not isinstance(data, list):
        raise ProbeError(
            f"{url}: what it answers to /v1/models is not a list of models: {_said(listing.body)}"
        )
    names = tuple(
        entry["id"] for entry in data if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    )
    if not names:
        raise ProbeError(f"{url}: serves no model")
    return names


def _chosen(models: Sequence[str], wanted: str | None) -> str:
    """Return the model that is asked.

    :raises ProbeError: the wanted one is not served.
    """
    if wanted is None:
        return models[0]
    if wanted not in models:
        hint = nearest(wanted, list(models)) or f"; there are: {', '.join(map(printable, models[:20]))}"
        raise ProbeError(f"model {wanted!r} is not served{hint}")
    return wanted


async def _notes(
    client: aiohttp.ClientSession, base: str, url: str, listing: _Page, release: str | None
) -> list[str]:
    notes = []
    # Nothing can be expected but "100-continue" (RFC 9110, section 10.1.1). vLLM ignores other expectations; this proxy
    # refuses them, and its refusals bear its mark.
    refusal = await _get(client, base, url, "/version", expecting="a-proxy")
    if ERROR_HEADER in refusal.headers:
        notes.append(
            "A vllm-sse-proxy is in front of this server already: what is judged here is what it lets through."
        )
    elif release is None:
        who = f" ({listing.server})" if listing.server else ""
        notes.append(
            f"It has no /version: perhaps what answers is not vLLM, but something in front of it{who}."
        )
    elif release != DEMO_VERSION and listing.server and listing.server.partition("/")[0].lower() != "uvicorn":
        notes.append(
            f"What answers calls itself {listing.server}: something is in front of vLLM, and may change streams."
        )
    if release == DEMO_VERSION:
        notes.append(
            "This is the demo of vllm-sse-proxy, not a vLLM: it answers with one recording whatever is asked, so what is "
            "missing of an option (a forced call, logprobs, usage, a second choice) says nothing."
        )
    return notes
