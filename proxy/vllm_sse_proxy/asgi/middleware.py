"""The middleware: which requests concern it, and the calls of the application for one request."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, cast

from prometheus_client import REGISTRY

from vllm_sse_proxy.asgi.answers import Answers
from vllm_sse_proxy.asgi.protocol import encoded, headers_of, raw_headers
from vllm_sse_proxy.asgi.requests import Incoming
from vllm_sse_proxy.asgi.upstream import AppUpstream, current
from vllm_sse_proxy.config import load
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.metrics import Metrics, code_class
from vllm_sse_proxy.server.content import parse_body
from vllm_sse_proxy.server.exchange import Exchange
from vllm_sse_proxy.server.handlers import handlers_of
from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER, end_to_end, request_id_of
from vllm_sse_proxy.server.routes import RouteTable
from vllm_sse_proxy.settings import ServerSettings, settings_of

if TYPE_CHECKING:
    from multidict import CIMultiDict

    from vllm_sse_proxy.asgi.protocol import Application, RawHeaders, Receive, Scope, Send
    from vllm_sse_proxy.server.handling import StreamRequest
    from vllm_sse_proxy.server.routes import Route
    from vllm_sse_proxy.server.upstream import Upstream

_ITSELF: Final = "http://application.invalid"
"""Stands for upstream in the settings: nothing is ever sent there."""
_OF_THE_PROXY: Final = frozenset(
    name
    for name in settings_of(ServerSettings)
    if name.startswith(
        ("host", "port", "admin_", "workers", "tls_", "upstream_", "drain_", "client_", "record")
    )
    or name in {"allow_paths", "preserve_host", "trusted_proxies", "look_at_upstream", "otel"}
)
"""Settings of ports, connections and processes, which are vLLM's here: a file may hold them for a proxy beside it."""


class Repair:
    """Repairs the streams of an ASGI application.

    :param app: the application; vLLM's and others' middleware may be around either.
    :raises SettingsError: the environment or the file that it names has settings that cannot be used.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._settings = _settings()
        self._metrics = metrics_of_this_process()
        upstream = cast("Upstream", AppUpstream(app))
        self._routes = RouteTable(handlers_of(FAMILIES, self._settings, upstream))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: the application's entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope.get("raw_path") or scope["path"].encode()
        target = path.decode("latin-1")
        query = scope.get("query_string", b"").decode("latin-1")
        route = self._routes.find(scope["method"], target, query)
        raw = raw_headers(scope["headers"])
        exchange = self._exchange(scope, target, route, raw)
        headers = partial(end_to_end, raw)
        stream: StreamRequest | None = None
        rewrite = None
        if route.handler is None:
            found = (handler.rewrite(exchange) for handler in self._routes.handlers)
            rewrite = next((one for one in found if one is not None), None)
            if rewrite is None:
                await self._app(scope, receive, send)
                return
        else:
            whole = f"{target}?{query}" if query else target
            stream = route.handler.begin(exchange, whole, route.resource, headers)
            if stream.target != whole:
                scope = {**scope, "query_string": stream.target.partition("?")[2].encode("latin-1")}
        token = current.set(scope)
        self._metrics.requests_in_flight.inc()
        try:
            await self._answer(scope, Incoming(receive), send, exchange, route, stream, rewrite, raw)
        finally:
            current.reset(token)
            self._metrics.requests_in_flight.dec()
            self._metrics.requests.labels(route.label, code_class(exchange.status)).inc()
            self._metrics.bytes.labels("in").inc(exchange.bytes_in)
            self._metrics.bytes.labels("out").inc(exchange.bytes_out)

    async def _answer(
        self,
        scope: Scope,
        incoming: Incoming,
        send: Send,
        exchange: Exchange,
        route: Route,
        stream: StreamRequest | None,
        rewrite: Any,
        raw: RawHeaders,
    ) -> None:
        """Call the application, again after each refusal that the family has an answer to."""
        body: bytes | None = None
        if stream is not None and route.reads_body:
            await incoming.read(self._settings.max_request_body_inspect_bytes)
            if incoming.is_gone:
                return
            body = incoming.body
            if incoming.is_whole:
                is_coded = any(name.lower() == b"content-encoding" for name, _ in raw)
                body = await stream.take_body(body, None if is_coded else parse_body(body))
            stream = stream.settled()
        answers = Answers(self._settings, exchange, incoming, send, stream=stream, rewrite=rewrite)
        stopping = False
        try:
            while True:
                receive = incoming.replay(body) if body is not None else incoming.pass_on
                await self._app(_with_length(scope, raw, body, incoming), receive, answers.take)
                if answers.refusal is None:
                    return
                body = await answers.after_refusal()
                if body is None:
                    return
        except asyncio.CancelledError:
            stopping = True
            raise
        except Exception:
            await answers.fail()
            raise  # the server logs it, and answers what has no answer yet
        finally:
            await answers.close(stopping=stopping)

    def _exchange(self, scope: Scope, path: str, route: Route, raw: RawHeaders) -> Exchange:
        client = scope.get("client")
        return Exchange(
            metrics=self._metrics,
            request_id=request_id_of(headers_of(raw).getall(REQUEST_ID_HEADER, ())),
            method=scope["method"],
            path=path,
            route=route.label,
            client_ip=client[0] if client else None,
            started_at=asyncio.get_running_loop().time(),
            raw_headers=raw,
        )


@cache
def metrics_of_this_process() -> Metrics:
    """Return what is counted, in the registry that vLLM's own metrics are in.

    Where ``PROMETHEUS_MULTIPROC_DIR`` is set, as vLLM does for several API servers, prometheus_client keeps the values in
    files there, and vLLM's ``/metrics`` adds up those of all processes.
    """
    return Metrics(FAMILIES, _settings(), registry=REGISTRY)


def _with_length(scope: Scope, raw: RawHeaders, body: bytes | None, incoming: Incoming) -> Scope:
    """Return the scope for a body that may be another than the client's."""
    if body is None or not incoming.is_whole or body is incoming.body:
        return {**scope}
    headers: CIMultiDict[str] = headers_of(raw)
    if "content-length" in headers:
        headers["content-length"] = str(len(body))
    return {**scope, "headers": encoded(headers)}


def _settings() -> ServerSettings:
    """Return the settings.

    :raises SettingsError: one that counts here cannot be used.
    """
    return load(ServerSettings, {"upstream": _ITSELF}, ignored=_OF_THE_PROXY)
