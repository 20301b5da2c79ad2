"""The demo's upstream: a server that looks like vLLM and answers with recordings.

It sends what was recorded byte for byte, one event per write as vLLM does, and ends as the recording ended: where vLLM
broke the connection, this breaks it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import HttpVersion11, web

from vllm_sse_proxy.demo.protocols import CHAT, MESSAGES, RESPONSES
from vllm_sse_proxy.demo.scenarios import SCENARIOS, Scenario, scenario_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vllm_sse_proxy.demo.protocols import Protocol

CREATED_AT: Final = 1_764_028_800
DEMO_VERSION: Final = "demo"
"""What /version says, and vLLM's never does."""
_EVENT_DELAY: Final = web.AppKey("event_delay_seconds", float)


def make_upstream(*, event_delay_seconds: float) -> web.Application:
    """Return the application; it waits `event_delay_seconds` after every event."""
    app = web.Application()
    app[_EVENT_DELAY] = event_delay_seconds
    app.add_routes(
        [
            web.post(RESPONSES.path, _responses),
            web.post(CHAT.path, _chat_completions),
            web.post(MESSAGES.path, _messages),
            web.get("/v1/models", _models),
            web.get("/version", _version),
            web.get("/health", _health),
        ]
    )
    return app


async def _responses(request: web.Request) -> web.StreamResponse:
    body = await _json_body(request)
    scenario = scenario_for(body.get("model"), body.get("input"))
    if scenario is None:
        return _unknown(body, RESPONSES)
    if not body.get("stream"):
        final = _final_response(scenario)
        if final is None:
            return _error(500, "The recorded stream broke off, so there is no final response.")
        return web.json_response(final, dumps=_dumps)
    return await _replay(request, scenario)


def _unknown(body: dict[str, Any], protocol: Protocol) -> web.Response:
    known = ", ".join(each.model for each in SCENARIOS if each.protocol is protocol)
    return _error(404, f"The model `{body.get('model')}` does not exist. There are: {known}")


async def _messages(request: web.Request) -> web.StreamResponse:
    body = await _json_body(request)
    scenario = scenario_for(body.get("model"), None, MESSAGES.path)
    return _unknown(body, MESSAGES) if scenario is None else await _replay(request, scenario)


async def _replay(request: web.Request, scenario: Scenario) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    if request.version >= HttpVersion11:  # nginx asks with HTTP/1.0 unless it is configured otherwise
        answer.enable_chunked_encoding()
    with contextlib.suppress(ConnectionError):  # the client has left
        await answer.prepare(request)
        for event in events_of(scenario.body):
            await answer.write(event)
            await asyncio.sleep(request.app[_EVENT_DELAY])  # the pace of a model, so that one sees it stream
    if scenario.cut and request.transport is not None:
        request.transport.close()  # no last chunk: the client sees a body that was cut
    return answer


def events_of(body: bytes) -> Iterator[bytes]:
    """Cut a recorded body after every blank line."""
    for block in body.split(b"\n\n"):
        if block:
            yield block + b"\n\n"


def _final_response(scenario: Scenario) -> Any:
    last: Any = None
    for event in events_of(scenario.body):
        payload = orjson.loads(event.partition(b"data: ")[2])
        if payload.get("type") in ("response.completed", "response.incomplete"):
            last = payload["response"]
    return last


async def _chat_completions(request: web.Request) -> web.StreamResponse:
    """Replay a recording; for other models, answer with a chat that conforms, which the proxy leaves as it is."""
    body = await _json_body(request)
    scenario = scenario_for(body.get("model"), None, CHAT.path)
    if scenario is not None and body.get("stream"):
        return await _replay(request, scenario)
    head = {
        "id": "chatcmpl-demo",
        "created": int(time.time()),
        "model": body.get("model") or "demo",
    }
    message = {"role": "assistant", "content": "This stream conforms: it passes through the proxy untouched."}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice]}, dumps=_dumps)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await answer.prepare(request)
    chunk = {**head, "object": "chat.completion.chunk"}
    for delta, reason in ((message, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        await answer.write(b"data: " + orjson.dumps({**chunk, "choices": [choice]}) + b"\n\n")
    await answer.write(b"data: [DONE]\n\n")
    return answer


async def _models(_request: web.Request) -> web.Response:
    models = [
        {"id": scenario.model, "object": "model", "created": CREATED_AT, "owned_by": "vllm-sse-proxy demo"}
        for scenario in SCENARIOS
    ]
    return web.json_response({"object": "list", "data": models}, dumps=_dumps)


async def _version(_request: web.Request) -> web.Response:
    return web.json_response({"version": DEMO_VERSION})


async def _health(_request: web.Request) -> web.Response:
    return web.Response()


async def _json_body(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _error(status: int, message: str) -> web.Response:
    """Return an error in vLLM's form."""
    kind = "NotFoundError" if status == web.HTTPNotFound.status_code else "InternalServerError"
    error = {"message": message, "type": kind, "param": "model", "code": status}
    return web.json_response({"error": error}, status=status, dumps=_dumps)


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()
