"""What the middleware costs: microseconds of processor time a stream, beside the same application alone and the proxy.

    python -m bench.middleware

The application sends a stream of a thousand events, one a message, as vLLM does. It is called in this process, alone and with
the middleware around it; the proxy is a process of its own, sends the same stream over sockets, and its own processor time
is read from its metrics. All in turn, and medians of the rounds: the machine's doing falls on all alike.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from bench.shapes.responses import deltas, object_deltas
from tests.support.serving import Serving
from vllm_sse_proxy.asgi import Repair
from vllm_sse_proxy.demo.session import serving
from vllm_sse_proxy.demo.upstream import events_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.asgi.protocol import Application, Message, Receive, Scope, Send

ROUNDS: Final = 7
STREAMS: Final = 20
"""Streams in a round."""
DELTAS: Final = 1000
_BODY: Final = b'{"model":"m","input":"hi","stream":true}'
_SCOPE: Final = {
    "type": "http",
    "method": "POST",
    "path": "/v1/responses",
    "query_string": b"",
    "headers": [],
}


def application(stream: Sequence[bytes]) -> Application:
    """Make an application that answers with a stream."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for frame in stream:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def called(app: Application) -> float:
    """Return the processor time that one stream takes, in microseconds."""
    size = 0

    async def send(piece: Message) -> None:
        nonlocal size
        size += len(piece.get("body", b""))

    began = time.process_time()
    for _ in range(STREAMS):
        body: list[Message] = [{"type": "http.request", "body": _BODY, "more_body": False}]

        async def receive(waiting: list[Message] = body) -> Message:
            return waiting.pop()

        await app({**_SCOPE}, receive, send)
    return (time.process_time() - began) / STREAMS * 1e6


async def proxied(client: aiohttp.ClientSession, proxy: Serving) -> float:
    """Return the processor time that one stream takes the proxy, in microseconds."""
    before = await _seconds(client, proxy)
    for _ in range(STREAMS):
        async with client.post(f"{proxy.url}/v1/responses", data=_BODY) as answer:
            async for _ in answer.content.iter_any():
                pass
    return (await _seconds(client, proxy) - before) / STREAMS * 1e6


async def _seconds(client: aiohttp.ClientSession, proxy: Serving) -> float:
    async with client.get(f"{proxy.admin_url}/metrics") as answer:
        text = await answer.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next(sample.value for sample in samples if sample.name == "process_cpu_seconds_total")


def upstream(stream: Sequence[bytes]) -> web.Application:
    """Make a server that sends the same, event by event."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for frame in stream:
            await response.write(frame)
        return response

    app = web.Application()
    app.add_routes([web.post("/v1/responses", answer)])
    return app


async def measure(name: str, stream: Sequence[bytes]) -> None:
    """Print what one stream costs."""
    alone = application(stream)
    around = Repair(alone)
    found: dict[str, list[float]] = {"alone": [], "middleware": [], "proxy": []}
    async with (
        serving(upstream(stream), "127.0.0.1") as url,
        Serving(url) as proxy,
        aiohttp.ClientSession() as client,
    ):
        for _ in range(ROUNDS):
            found["alone"].append(await called(alone))
            found["middleware"].append(await called(around))
            found["proxy"].append(await proxied(client, proxy))
    medians = {kind: statistics.median(times) for kind, times in found.items()}
    extra = medians["middleware"] - medians["alone"]
    sys.stdout.write(
        orjson.dumps(
            {
                "stream": name,
                "events": len(stream),
                "us_alone": round(medians["alone"]),
                "us_with_middleware": round(medians["middleware"]),
                "us_of_proxy": round(medians["proxy"]),
                "us_an_event_middleware": round(extra / len(stream), 2),
                "us_an_event_proxy": round(medians["proxy"] / len(stream), 2),
            },
            option=orjson.OPT_INDENT_2,
        ).decode()
        + "\n"
    )


async def main() -> None:
    """Measure a conforming stream and a broken one."""
    await measure("conforming", list(events_of(deltas(DELTAS))))
    await measure("deltas that are objects", list(events_of(object_deltas(DELTAS))))


if __name__ == "__main__":
    asyncio.run(main())
