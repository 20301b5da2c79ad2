"""The life of a request: one handler for every method and path, since only upstream knows which exist.

In order: it is counted and refused if it cannot be forwarded (:mod:`~vllm_sse_proxy.server.admission`); the route says whether
it is a family's (:mod:`~vllm_sse_proxy.server.routes`), and the family's handler says what is sent for it
(:mod:`~vllm_sse_proxy.server.handling`); upstream is asked; and the *answer* (status 200, ``text/event-stream``) decides
whether it is repaired or passed through. Whatever is raised on the way becomes an honest answer here.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import hdrs, web

from vllm_sse_proxy.logs import emit, logger
from vllm_sse_proxy.server import errors
from vllm_sse_proxy.server.admission import check_request, is_upgrade
from vllm_sse_proxy.server.answers import ClientGoneError
from vllm_sse_proxy.server.body import UpstreamBody
from vllm_sse_proxy.server.content import EVENT_STREAM, JSON, has_type, media_type_of, parse_body
from vllm_sse_proxy.server.errors import ProxyError
from vllm_sse_proxy.server.exchange import Exchange, shortened
from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER, Forwarding, request_id_of
from vllm_sse_proxy.server.posting import Answer, Posting
from vllm_sse_proxy.server.relay import ObservedRelay, PassThrough, UnrepairedStream, WholeRelay
from vllm_sse_proxy.server.stream_relay import StreamRelay
from vllm_sse_proxy.server.tunnel import Tunnel
from vllm_sse_proxy.server.upload import Upload
from vllm_sse_proxy.server.upstream import PIECE_BYTES
from vllm_sse_proxy.settings import Mode
from vllm_sse_proxy.stream.family import openai_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from multidict import CIMultiDict

    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.server.addresses import TrustedProxies
    from vllm_sse_proxy.server.errors import Problem
    from vllm_sse_proxy.server.handling import Rewrite, StreamRequest
    from vllm_sse_proxy.server.recording import Recorder
    from vllm_sse_proxy.server.routes import Route, RouteTable
    from vllm_sse_proxy.server.silence import SilenceWatch
    from vllm_sse_proxy.server.spans import StreamSpans
    from vllm_sse_proxy.server.upstream import Upstream
    from vllm_sse_proxy.settings import ServerSettings

_ABSOLUTE_FORM: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)

# Methods that only ask: probes, metrics, lists of models.
_SHORT: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


@dataclass(eq=False, kw_only=True)
class Gateway:
    """Answers every request of the data port.

    :ivar recorder: records streams; None: nobody asked for it.
    :ivar open: the exchanges that are not over.
    :ivar answered: how many are over.
    :ivar draining: set while the process is about to stop: clients are then asked to use another connection.
    """

    settings: ServerSettings
    routes: RouteTable
    metrics: Metrics
    upstream: Upstream
    watch: SilenceWatch
    forwarding: Forwarding
    trusted: TrustedProxies | None = None
    recorder: Recorder | None = None
    spans: StreamSpans | None = None
    open: set[Exchange] = field(default_factory=set)
    answered: int = 0
    draining: bool = False
    _lasting: int = 0
    _seen_unrepaired: set[str] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_idle(self) -> None:
        """Wait until no request is being answered."""
        if self.open:
            self._idle.clear()
            await self._idle.wait()

    def stop_all(self) -> int:
        """End every open exchange visibly and return how many there were."""
        now = asyncio.get_running_loop().time()
        for exchange in self.open:
            exchange.stop(now)
        return len(self.open)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; the handler that aiohttp calls."""
        loop = asyncio.get_running_loop()
        target = request.raw_path
        if not target.startswith("/"):
            target = _ABSOLUTE_FORM.sub("", target, count=1) or "/"
        path, _, query = target.partition("?")
        route = self.routes.find(request.method, path, query)
        exchange = self._exchange_of(request, path, route, loop.time())
        self.open.add(exchange)
        self.metrics.requests_in_flight.inc()
        lasting = may_last(request, route)
        self._lasting += lasting
        try:
            if lasting:
                self._check_load()
            response = await self._answer(request, exchange, route, target)
        except ProxyError as error:
            response = self._refuse(error.problem, exchange, route)
        except ClientGoneError:
            exchange.ending = exchange.ending or "client_gone"
            # There is nobody to answer; aiohttp finds the connection closed and leaves it at that.
            response = web.Response(status=HTTPStatus.BAD_GATEWAY)
        except asyncio.CancelledError:
            exchange.ending = exchange.ending or ("shutdown" if exchange.stopping else "client_gone")
            raise
        except Exception:  # the last resort: logged with its traceback, answered with 500
            logger.exception("unexpected error", extra={"fields": {"request_id": exchange.request_id}})
            exchange.ending = "internal_error"
            if exchange.status is not None:
                raise  # an answer has begun: aiohttp closes the connection in the middle of it
            response = self._refuse(errors.INTERNAL, exchange, route)
        finally:
            self._lasting -= lasting
            self.answered += 1
            self.open.discard(exchange)
            if not self.open:
                self._idle.set()
            self.metrics.requests_in_flight.dec()
            exchange.relay = None  # else the two would keep each other in memory
            self._note_end(exchange, loop.time())
        return response

    def _exchange_of(self, request: web.BaseRequest, path: str, route: Route, now: float) -> Exchange:
        """Return the facts of a request that are known when it comes."""
        client = self._client_of(request)
        user_agent = request.headers.get(hdrs.USER_AGENT)
        return Exchange(
            metrics=self.metrics,
            request_id=request_id_of(request.headers.getall(REQUEST_ID_HEADER, ())),
            method=request.method,
            path=path,
            route=route.label,
            client_ip=client,
            peer_ip=None if client == request.remote else request.remote,
            raw_headers=request.raw_headers,
            user_agent=None if user_agent is None else shortened(user_agent),
            started_at=now,
        )

    def _client_of(self, request: web.BaseRequest) -> str | None:
        """Return the client's address, as far as it can be relied on."""
        if self.trusted is None:
            return request.remote
        return self.trusted.client_of(request.remote, request.headers.getall(hdrs.X_FORWARDED_FOR, ()))

    def _note_end(self, exchange: Exchange, now: float) -> None:
        """Count, log and trace what is over."""
        exchange.report(now)
        if self.spans is not None and exchange.family is not None:
            self.spans.record(exchange, now)

    def _check_load(self) -> None:
        if 0 < self.settings.max_streams < self._lasting:
            raise ProxyError(errors.OVERLOADED)

    async def _answer(
        self, request: web.BaseRequest, exchange: Exchange, route: Route, target: str
    ) -> web.StreamResponse:
        """Ask upstream, and relay its answer in the way that it asks for.

        :raises ProxyError: the request is refused, or upstream does not answer it.
        :raises ClientGoneError: the client left.
        """
        check_request(request, target, self.settings)
        if self.forwarding.is_loop(request.headers.getall(hdrs.VIA, ())):
            raise ProxyError(errors.LOOP_DETECTED)
        upgrade = is_upgrade(request)
        readable = partial(
            self.forwarding.request_headers,
            request.raw_headers,
            peer=request.remote,
            scheme=request.scheme,
            request_id=exchange.request_id,
            identity=True,
        )
        rewrite = self._rewrite(exchange) if route.handler is None and not upgrade else None
        is_rewritten = rewrite is not None and self.settings.mode is not Mode.OBSERVE
        headers = partial(readable, identity=route.handler is not None or is_rewritten)
        stream: StreamRequest | None = None
        if route.handler is not None and not upgrade:
            stream = route.handler.begin(exchange, target, route.resource, headers)
            if self.recorder is not None:
                stream = self.recorder.following(stream, request)
            target = stream.target
        answered = await self._ask(request, exchange, target, headers(), stream if route.reads_body else None)
        answer, read = answered.head, answered.read
        stream = None if stream is None else stream.settled()
        exchange.upstream_status = answer.status
        if upgrade:
            self._check_upgrade(answer, exchange)
        if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
            if not (upgrade and answer.headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket"):
                raise self._wrong_switch(answer)
            return await Tunnel(exchange, answer, request).run(self.watch)
        if answer.status == HTTPStatus.OK:
            for handler in self.routes.handlers:
                handler.note_success(exchange.method, exchange.path)
        with UpstreamBody(answer, exchange) as body:
            if stream is not None and is_event_stream(answer):
                relay = StreamRelay(exchange, body, request, stream, is_last=lambda: self.draining)
                return await relay.run(self.watch)
            passing = self._passing(exchange, body, request, stream, rewrite)
            # An upgrade that was declined ends the connection: what the client sent ahead must not be taken for requests.
            return await passing.run(self.watch, close=self.draining or upgrade, read=read)

    def _passing(
        self,
        exchange: Exchange,
        body: UpstreamBody,
        request: web.BaseRequest,
        stream: StreamRequest | None,
        rewrite: Rewrite | None,
    ) -> PassThrough:
        """Return what relays an answer that is not a stream which can be repaired.

        :param stream: the request, where it is a family's.
        :param rewrite: what rewrites the answer to another request.
        """
        if stream is not None:
            rewrite = stream.rewrite()
            if has_event_stream(body.answer):  # it is compressed
                self._note_unrepaired(exchange, stream.handler.family.name)
        elif is_event_stream(body.answer):
            return UnrepairedStream(exchange, body, request, note=partial(self._note_unrepaired, exchange))
        if rewrite is None or body.answer.status != HTTPStatus.OK or not has_type(body.answer.headers, JSON):
            return PassThrough(exchange, body, request)
        relay = ObservedRelay if self.settings.mode is Mode.OBSERVE else WholeRelay
        return relay(exchange, body, request, rewrite=rewrite, max_bytes=self.settings.max_frame_bytes)

    def _note_unrepaired(self, exchange: Exchange, family: str) -> None:
        """Count a stream of a known family that passes through as it is, and warn of the first one of each family."""
        self.metrics.unrepaired_streams.labels(family).inc()
        if family not in self._seen_unrepaired:
            self._seen_unrepaired.add(family)
            emit(
                logging.WARNING,
                "a stream passes unrepaired: it is of a known family, but its path is not, or it is compressed; "
                "further ones of this family are only counted",
                request_id=exchange.request_id,
                family=family,
                method=exchange.method,
                path=exchange.path,
            )

    def _check_upgrade(self, answer: aiohttp.ClientResponse, exchange: Exchange) -> None:
        """Check the answer to the wish for a WebSocket.

        :raises ProxyError: upstream has none there, which its answer would not show the client.
        """
        for handler in self.routes.handlers:
            if handler.lacks_websocket(exchange.path, answer.status):
                answer.close()
                raise ProxyError(errors.NO_WEBSOCKET)

    def _rewrite(self, exchange: Exchange) -> Rewrite | None:
        """Return what rewrites the JSON answer to a request that cannot be answered by a stream."""
        for handler in self.routes.handlers:
            if (rewrite := handler.rewrite(exchange)) is not None:
                return rewrite
        return None

    def _wrong_switch(self, answer: aiohttp.ClientResponse) -> ProxyError:
        """Give up an upstream that switched to a protocol that it was not asked for."""
        answer.close()
        self.metrics.upstream_failures.labels("protocol").inc()
        return ProxyError(errors.PROTOCOL)

    async def _ask(
        self,
        request: web.BaseRequest,
        exchange: Exchange,
        target: str,
        headers: CIMultiDict[str],
        reader: StreamRequest | None,
    ) -> Answer:
        """Send the request to upstream and return its answer.

        :param reader: wants to read the request's body; None: nobody does.
        :raises ProxyError: upstream cannot be reached or does not answer, or the request itself did not arrive.
        """
        seconds = self.settings.first_byte_timeout_seconds
        upload = Upload(request, self.settings)
        if is_upgrade(request):
            headers[hdrs.CONNECTION], headers[hdrs.UPGRADE] = "Upgrade", "websocket"
        try:
            async with asyncio.timeout(seconds) as exchange.deadline:
                upload.deadline = exchange.deadline
                body = await self._body(request, upload, reader)
                reader = None if reader is None else reader.settled()
                posting = Posting(self.upstream, exchange, request.method, target, headers, reader)
                return await posting.send(body)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._unanswered(error, exchange, upload) from None
        finally:
            exchange.deadline = None

    async def _body(
        self, request: web.BaseRequest, upload: Upload, reader: StreamRequest | None
    ) -> bytes | AsyncIterator[bytes] | None:
        """Return the body for upstream: read if somebody wants to or it is here, and it is small enough; else as a stream."""
        if not request.body_exists:
            return None
        body = None
        if reader is not None:
            body = await upload.read(self.settings.max_request_body_inspect_bytes)
        elif upload.is_here(PIECE_BYTES):
            body = await upload.read(PIECE_BYTES)
        if body is None:
            return upload.stream()
        if reader is None:
            return body
        document = None if hdrs.CONTENT_ENCODING in request.headers else parse_body(body)
        model = None if document is None else document.get("model")
        if isinstance(model, str):
            reader.exchange.model = shortened(model)
        return await reader.take_body(body, document)

    def _unanswered(self, error: Exception, exchange: Exchange, upload: Upload) -> ProxyError:
        """Return why there is no answer: the proxy stops, the client does not send its request, or upstream is at fault."""
        if upload.refusal is not None:
            return upload.refusal
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            if exchange.stopping:
                return ProxyError(errors.SHUTTING_DOWN)
            if upload.waiting:
                return ProxyError(errors.BODY_TIMEOUT)
            problem = errors.FIRST_BYTE_TIMEOUT
        else:
            problem = errors.problem_of(error)
            if isinstance(error, aiohttp.ClientConnectorError):
                for handler in self.routes.handlers:
                    handler.note_unreachable()
        if problem.failure is not None:
            self.metrics.upstream_failures.labels(problem.failure).inc()
        emit(
            logging.WARNING,
            "upstream did not answer",
            request_id=exchange.request_id,
            code=problem.code,
            reason=errors.reason_of(error),
        )
        return ProxyError(problem)

    def _refuse(self, problem: Problem, exchange: Exchange, route: Route) -> web.Response:
        error_body = openai_error if route.handler is None else route.handler.family.error
        response = errors.error_response(problem, exchange.request_id, error_body)
        if self.draining:
            response.force_close()
        exchange.status = problem.status
        exchange.ending = exchange.ending or problem.code
        if problem.limit is not None:
            exchange.hit(problem.limit)
        if exchange.method != hdrs.METH_HEAD:
            exchange.bytes_out = response.content_length or 0
        return response


def may_last(request: web.BaseRequest, route: Route) -> bool:
    """Return whether a request may be answered by a stream, as far as that is known before upstream has answered.

    What only asks is left out: it is short, and it has to work under load most of all.
    """
    return route.handler is not None or request.method not in _SHORT or is_upgrade(request)


def is_event_stream(answer: aiohttp.ClientResponse) -> bool:
    """Return whether an answer is a stream that can be read: 200, ``text/event-stream``, not compressed after all."""
    return answer.status == HTTPStatus.OK and has_type(answer.headers, EVENT_STREAM)


def has_event_stream(answer: aiohttp.ClientResponse) -> bool:
    """Return whether an answer is a stream of events, readable or not."""
    return answer.status == HTTPStatus.OK and media_type_of(answer.headers) == EVENT_STREAM
