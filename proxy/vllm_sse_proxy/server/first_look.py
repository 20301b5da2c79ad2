"""A first look at upstream when the proxy starts: which release answers there, and which models it serves.

For the log only. What is wrong is better read there than found out by the first client; but nothing depends on it, since vLLM
often starts after the proxy, and takes minutes.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from aiohttp import hdrs
from multidict import CIMultiDict

from vllm_sse_proxy import __version__
from vllm_sse_proxy.logs import emit
from vllm_sse_proxy.server.errors import reason_of
from vllm_sse_proxy.server.exchange import shortened

if TYPE_CHECKING:
    from vllm_sse_proxy.server.credentials import Credentials
    from vllm_sse_proxy.server.upstream import Upstream

_PATIENCE_SECONDS: Final = 5.0
_MAX_BYTES: Final = 256 * 1024
"""A gateway's list of a thousand models."""
_SHOWN_MODELS: Final = 8
_WANTS_A_KEY: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


async def look_at(upstream: Upstream, credentials: Credentials, shown_upstream: str) -> None:
    """Ask upstream for its release and its models, and log both; never raises.

    :param shown_upstream: upstream's URL, fit for the log.
    """
    try:
        version_status, version = await _ask(upstream, credentials, "/version")
        models_status, models = await _ask(upstream, credentials, "/v1/models")
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        emit(
            logging.WARNING,
            "upstream does not answer yet",
            upstream=shown_upstream,
            reason=reason_of(error),
        )
        return
    names = _names(models)
    level, message = logging.INFO, "upstream answers"
    if models_status in _WANTS_A_KEY:
        # Clients may have one. Only if the proxy sent its own, something is wrong.
        level = logging.INFO if credentials.authorization is None else logging.WARNING
        message += (
            ", and wants a key" if credentials.authorization is None else ", and does not accept the key"
        )
    elif models_status != HTTPStatus.OK or names is None:
        level, message = logging.WARNING, "upstream answers, but not with a list of models"
    emit(
        level,
        message,
        upstream=shown_upstream,
        upstream_version=_text(version.get("version")) if isinstance(version, dict) else None,
        version_status=version_status,
        models_status=models_status,
        models=None if names is None else names[:_SHOWN_MODELS],
        models_count=None if names is None else len(names),
    )


async def _ask(upstream: Upstream, credentials: Credentials, target: str) -> tuple[int, Any]:
    """Return the status and the JSON of an answer; None for what is no JSON.

    :raises aiohttp.ClientError: there is no answer.
    :raises OSError: as above, or it takes too long.
    """
    headers = CIMultiDict({hdrs.ACCEPT: "application/json", hdrs.USER_AGENT: f"vllm-sse-proxy/{__version__}"})
    credentials.apply(headers)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        answer = await upstream.send(hdrs.METH_GET, target, headers, None)
        try:
            body = await _read(answer)
        finally:
            answer.close()
    try:
        return answer.status, orjson.loads(body)
    except ValueError:
        return answer.status, None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while size <= _MAX_BYTES and (piece := await answer.content.readany()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _names(models: Any) -> list[str] | None:
    """Return the names in a list of models; None if it is none."""
    data = models.get("data") if isinstance(models, dict) else None
    if not isinstance(data, list):
        return None
    found = (_text(each.get("id")) for each in data if isinstance(each, dict))
    return [name for name in found if name is not None]


def _text(value: Any) -> str | None:
    return shortened(value) if isinstance(value, str) else None
