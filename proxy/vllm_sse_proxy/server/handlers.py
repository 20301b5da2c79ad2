"""What happens to a request: one handler for every method and path, since only upstream knows which exist.

It decides from the request alone who may be repaired, and from the *answer* (status 200, ``text/event-stream``) whether it is.
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, unquote_plus

import aiohttp
import orjson
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError, HttpVersion11

from vllm_sse_proxy import Plan, RequestContext, StreamNormalizer
from vllm_sse_proxy.config import KeepAlive, Mode
from vllm_sse_proxy.logs import emit, logger
from vllm_sse_proxy.metrics import code_class
from vllm_sse_proxy.server.call_ids import answered_response, with_stored_ids
from vllm_sse_proxy.server.clients import expects_continue
from vllm_sse_proxy.server.errors import (
    ProxyError,
    bad_request,
    body_too_large,
    first_byte_timeout,
    from_client_error,
    header_too_large,
    internal_error,
    overloaded,
    request_body_timeout,
    shutting_down,
    upstream_protocol,
)
from vllm_sse_proxy.server.exchange import Exchange
from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER, Forwarding, connection_options, request_id_of
from vllm_sse_proxy.server.relay import ClientGoneError, PassThrough, StreamRelay
from vllm_sse_proxy.server.status import StatusProbe
from vllm_sse_proxy.server.stored import RESPONSES_PATH, StoredResponses, UnreadableError
from vllm_sse_proxy.server.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from vllm_sse_proxy.config import Settings
    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.server.silence import SilenceWatch
    from vllm_sse_proxy.server.upstream import Upstream

_CANCEL: Final = re.compile(RESPONSES_PATH + "/([^/]+)/cancel")
_ABSOLUTE_FORM: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")  # more digits are no position in a stream: vLLM may say so

# What pydantic, and so vLLM, reads as true in a query.
_TRUE: Final = frozenset({"1", "on", "t", "true", "y", "yes"})

# Upgrades for which aiohttp's parser stops to read HTTP; others (h2c) are ignored, as RFC 9110 allows.
_UPGRADES: Final = frozenset({"websocket", "tcp"})


_ASKING: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})

SLOWEST_BODY_BYTES_PER_SECOND: Final = 500
"""What a request's body must come at in the long run: the rate below which Apache gives a client up by default. No network
that can carry an answer is as slow."""


class Resume(NamedTuple):
    """A request for the rest of a stream, as it is put to upstream."""

    target: str
    """The request target without ``starting_after``: upstream's numbers are not ours, so the whole stream is asked for."""
    starting_after: int | None
    """The last number that the client has seen; None: it wants all of it."""


class Gateway:
    """Answers every request of the data port.

    :ivar open: the exchanges that are not over.
    :ivar answered: how many are over.
    :ivar draining: set while the process is about to stop: clients are then asked to use another connection.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        plan: Plan,
        metrics: Metrics,
        upstream: Upstream,
        watch: SilenceWatch,
        forwarding: Forwarding,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._metrics = metrics
        self._upstream = upstream
        self._watch = watch
        self._forwarding = forwarding
        self.open: set[Exchange] = set()
        self.draining = False
        self.answered = 0
        self._lasting = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no request is being answered."""
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
        target = _ABSOLUTE_FORM.sub("", request.raw_path, count=1) or "/"
        path, _, query = target.partition("?")
        route = route_of(request.method, path, query)
        exchange = Exchange(
            request_id=request_id_of(request.headers.getall(REQUEST_ID_HEADER, ())),
            method=request.method,
            path=path,
            route=route,
            client=request.remote,
            started_at=loop.time(),
        )
        self.open.add(exchange)
        self._idle.clear()
        self._metrics.requests_in_flight.inc()
        lasting = may_last(request, route)
        self._lasting += lasting
        try:
            response = await self._answer(request, exchange, target)
        except ProxyError as error:
            response = self._refuse(error, exchange)
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
            response = self._refuse(internal_error(), exchange)
        finally:
            self._lasting -= lasting
            self.answered += 1
            self.open.discard(exchange)
            if not self.open:
                self._idle.set()
            self._metrics.requests_in_flight.dec()
            exchange.report(self._metrics, now=loop.time())
        return response

    async def _answer(self, request: web.BaseRequest, exchange: Exchange, target: str) -> web.StreamResponse:
        if may_last(request, exchange.route) and 0 < self._settings.max_streams < self._lasting:
            raise overloaded()
        self._check(request, target)
        if is_upgrade(request):
            return await self._tunnel(request, exchange, target)
        resume = None
        if exchange.route == "responses_get" and self._settings.mode is not Mode.OBSERVE:
            resume = parse_resume(target)
            target = resume.target
        answer, context = await self._ask(request, exchange, target)
        self._note_answer(answer, exchange)
        if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise self._refuse_switch(answer)
        if answer.status == HTTPStatus.OK:
            self._note_cancel(exchange)
        if exchange.route == "other" or not is_event_stream(answer):
            return await PassThrough(exchange, answer, request, self._metrics).run(
                self._watch, close=self.draining
            )
        normalizer = StreamNormalizer(
            self._plan, context, starting_after=None if resume is None else resume.starting_after
        )
        return await StreamRelay(
            exchange,
            answer,
            request,
            self._metrics,
            normalizer=normalizer,
            keepalives=self._settings.mode
            is not Mode.OBSERVE,  # there, upstream's bytes are all that is sent
            keepalive_event=self._settings.keepalive is KeepAlive.EVENT,
            probe=self._probe(request, exchange, context),
            is_last=lambda: self.draining,
        ).run(self._watch)

    async def _tunnel(self, request: web.BaseRequest, exchange: Exchange, target: str) -> web.StreamResponse:
        """Ask upstream for the upgrade; if it agrees, relay what follows, else its answer.

        :raises ProxyError: upstream cannot be reached, does not answer, or agrees to something else.
        """
        answer, _ = await self._ask(request, exchange, target)
        self._note_answer(answer, exchange)
        if answer.status != HTTPStatus.SWITCHING_PROTOCOLS:
            # The connection ends with it: what the client sent ahead, if anything, must not be taken for requests.
            return await PassThrough(exchange, answer, request, self._metrics).run(self._watch, close=True)
        if answer.headers.get(hdrs.UPGRADE, "").strip().lower() != "websocket":
            raise self._refuse_switch(answer)
        return await Tunnel(exchange, answer, request, self._metrics).run(self._watch)

    def _note_answer(self, answer: aiohttp.ClientResponse, exchange: Exchange) -> None:
        exchange.upstream_status = answer.status
        self._metrics.upstream_requests.labels(code_class(answer.status)).inc()

    def _refuse_switch(self, answer: aiohttp.ClientResponse) -> ProxyError:
        """Give up an upstream that speaks another protocol than it was asked for."""
        answer.close()
        self._metrics.upstream_failures.labels("protocol").inc()
        return upstream_protocol()

    def _note_cancel(self, exchange: Exchange) -> None:
        """Tell every stream that is open here if upstream has just cancelled its response: it would never end."""
        response_id = cancelled_id(exchange.method, exchange.path)
        if response_id is not None:
            for other in self.open:
                if other.relay is not None:
                    other.relay.cancelled(response_id)

    def _probe(
        self, request: web.BaseRequest, exchange: Exchange, context: RequestContext
    ) -> StatusProbe | None:
        """Return what asks upstream how the response of a stream stands; None if it must not, or is not to, be asked."""
        settings = self._settings
        if settings.mode is Mode.OBSERVE or not settings.status_poll_seconds:
            return None
        resumed = exchange.route == "responses_get"
        return StatusProbe(
            self._stored(request, exchange),
            response_id=unquote(exchange.path[len(RESPONSES_PATH) + 1 :]) if resumed else None,
            max_bytes=settings.max_frame_bytes,
            regular=resumed or (context.body is not None and context.body.get("background") is True),
        )

    def _stored(self, request: web.BaseRequest, exchange: Exchange) -> StoredResponses:
        """Return what reads upstream's stored responses as the client itself would."""
        return StoredResponses(
            self._upstream,
            partial(
                self._forwarding.request_headers,
                request.raw_headers,
                peer=request.remote,
                scheme=request.scheme,
                request_id=exchange.request_id,
                identity=True,
            ),
            timeout_seconds=self._settings.first_byte_timeout_seconds,
            max_bytes=self._settings.max_frame_bytes,
        )

    async def _with_stored_ids(
        self, body: bytes, document: dict[str, Any] | None, request: web.BaseRequest, exchange: Exchange
    ) -> bytes:
        """Return the request's body with the call_ids that upstream has stored, if it answers calls of a stored response.

        :param document: the body as JSON; None if it cannot be read.
        """
        response_id = answered_response(document)
        if document is None or response_id is None or self._settings.mode is Mode.OBSERVE:
            return body
        try:
            stored = await self._stored(request, exchange).read(response_id)
        except UnreadableError:
            return body  # upstream will say to the client what is wrong
        translated = with_stored_ids(body, document, stored)
        if translated != body:
            self._metrics.requests_translated.inc()
        return translated

    def _check(self, request: web.BaseRequest, target: str) -> None:
        """Refuse what cannot be passed on.

        :raises ProxyError: with a status of 4xx or 5xx.
        """
        size = len(target) + sum(len(name) + len(value) for name, value in request.raw_headers)
        if size > self._settings.max_header_bytes:
            raise header_too_large()
        self._check_framing(request)
        length = request.content_length
        if length is not None and 0 < self._settings.max_request_body_bytes < length:
            raise body_too_large()
        if is_upgrade(request):
            if upgrade_of(request) != "websocket":
                raise bad_request(
                    "upgrade_not_supported",
                    "This proxy relays no protocol upgrade but WebSocket.",
                    status=HTTPStatus.NOT_IMPLEMENTED,
                )
            if request.method != hdrs.METH_GET or request.body_exists or request.version < HttpVersion11:
                raise bad_request(
                    "invalid_upgrade", "A WebSocket begins with a GET request of HTTP/1.1 without a body."
                )
        if not target.startswith("/") or request.method == hdrs.METH_CONNECT:
            raise bad_request("invalid_target", "The request target must be a path.")
        if not is_allowed(target.partition("?")[0], self._settings.allow_paths):
            raise bad_request(
                "path_not_allowed", "This path is not served here.", status=HTTPStatus.NOT_FOUND
            )
        if not is_encodable(target):
            raise bad_request("invalid_target", "The request target must be ASCII or UTF-8.")
        if self._forwarding.is_loop(request.headers.getall(hdrs.VIA, ())):
            raise bad_request(
                "loop_detected",
                "The request has been through this proxy before.",
                status=HTTPStatus.LOOP_DETECTED,
            )

    def _check_framing(self, request: web.BaseRequest) -> None:
        """Refuse framing that the parser lets pass and that the next server may read in another way (RFC 9112, section 6.1).

        :raises ProxyError: 400 or 501.
        """
        codings = request.headers.getall(hdrs.TRANSFER_ENCODING, ())
        if codings and request.version < HttpVersion11:
            raise bad_request("invalid_http", "HTTP/1.0 knows no Transfer-Encoding.")
        if codings and ",".join(codings).strip().lower() != "chunked":
            raise bad_request(
                "transfer_coding_not_supported",
                "No transfer coding but chunked is understood.",
                status=HTTPStatus.NOT_IMPLEMENTED,
            )

    async def _ask(
        self, request: web.BaseRequest, exchange: Exchange, target: str
    ) -> tuple[aiohttp.ClientResponse, RequestContext]:
        """Send the request to upstream and return its answer's head, with what the request says about the stream.

        :raises ProxyError: upstream cannot be reached, does not answer, or the request itself did not come.
        """
        settings = self._settings
        upload = Upload(
            request,
            answer_seconds=settings.first_byte_timeout_seconds,
            body_seconds=settings.request_body_timeout_seconds,
            max_bytes=settings.max_request_body_bytes,
        )
        headers = self._forwarding.request_headers(
            request.raw_headers,
            peer=request.remote,
            scheme=request.scheme,
            request_id=exchange.request_id,
            identity=exchange.route != "other",
        )
        if is_upgrade(request):
            headers[hdrs.CONNECTION], headers[hdrs.UPGRADE] = "Upgrade", "websocket"
        try:
            async with asyncio.timeout(settings.first_byte_timeout_seconds) as exchange.deadline:
                upload.deadline = exchange.deadline
                body, document = await self._body(request, exchange, upload)
                if isinstance(body, bytes) and hdrs.CONTENT_LENGTH in headers:
                    headers[hdrs.CONTENT_LENGTH] = str(len(body))  # translated ids may be longer
                answer = await self._upstream.send(request.method, target, headers, body)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._unanswered(error, exchange, upload) from None
        finally:
            exchange.deadline = None
        if exchange.route == "responses_get":
            return answer, RequestContext(seed=unquote(exchange.path[len(RESPONSES_PATH) + 1 :]))
        return answer, RequestContext(body=document)

    async def _body(
        self, request: web.BaseRequest, exchange: Exchange, upload: Upload
    ) -> tuple[bytes | AsyncIterator[bytes] | None, dict[str, Any] | None]:
        """Return the request's body: read where repairs have a use for it and it is small enough, else as a stream.

        Beside it, what the client sent as JSON but for its ``input``, if it was read and is a JSON object.
        """
        if not request.body_exists:
            return None, None
        if exchange.route == "responses":
            body = await upload.read(self._settings.max_request_body_inspect_bytes)
            if body is not None:
                document = None if hdrs.CONTENT_ENCODING in request.headers else parse_body(body)
                body = await self._with_stored_ids(body, document, request, exchange)
                if document is not None:
                    # No response repeats it, and the stream would hold it to its end: an agent's history, many times over.
                    document.pop("input", None)
                return body, document
        return upload.stream(), None

    def _unanswered(self, error: Exception, exchange: Exchange, upload: Upload) -> ProxyError:
        """Say why there is no answer: the proxy's end, the client's request, or upstream."""
        if upload.refusal is not None:
            return upload.refusal
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            if exchange.stopping:
                return shutting_down()
            if upload.waiting:
                return request_body_timeout()
            refusal = first_byte_timeout()
        else:
            refusal = from_client_error(error)
        if refusal.cause is not None:
            self._metrics.upstream_failures.labels(refusal.cause).inc()
        emit(
            logging.WARNING,
            "upstream did not answer",
            request_id=exchange.request_id,
            code=refusal.code,
            reason=str(error) or type(error).__name__,
        )
        return refusal

    def _refuse(self, error: ProxyError, exchange: Exchange) -> web.Response:
        response = error.response(exchange.request_id)
        if self.draining:
            response.force_close()
        exchange.status = error.status
        exchange.ending = exchange.ending or error.code
        if error.limit is not None:
            exchange.limit = error.limit
            self._metrics.limits_hit.labels(error.limit).inc()
        if exchange.method != hdrs.METH_HEAD:
            exchange.bytes_out = response.content_length or 0
        return response


class Upload:
    """The request's body on its way to upstream.

    :param answer_seconds: how long upstream may take for whatever it has to do next.
    :param body_seconds: the client's patience account, see :meth:`_next`; 0 waits for ever.
    :param max_bytes: largest body; 0: any.
    :ivar waiting: it is the client that is being waited for.
    :ivar refusal: what to answer a client that sent something that is no body, or too much of it.
    :ivar deadline: the timeout that runs until upstream answers; moved with every piece that comes.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        *,
        answer_seconds: float,
        body_seconds: float = 0.0,
        max_bytes: int = 0,
    ) -> None:
        self._request = request
        self._content = request.content
        self._loop = asyncio.get_running_loop()
        self._answer_seconds = answer_seconds
        self._body_seconds = self._patience = body_seconds
        self._max_bytes = max_bytes
        self._bytes = 0
        self._read: list[bytes] = []
        self._invite = request.body_exists and expects_continue(request)
        self._waited = False
        self.waiting = False
        self.refusal: ProxyError | None = None
        self.deadline: asyncio.Timeout | None = None

    async def read(self, limit_bytes: int) -> bytes | None:
        """Return the whole body, or None if it is larger; then :meth:`stream` still gives all of it."""
        size = 0
        while piece := await self._next():
            self._read.append(piece)
            size += len(piece)
            if size > limit_bytes:
                return None
        return b"".join(self._read)

    async def stream(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece, as it comes."""
        for piece in self._read:
            yield piece
        self._read.clear()
        while piece := await self._next():
            yield piece

    async def _next(self) -> bytes:
        """Wait for a piece of the body.

        The client has an account of seconds. Waiting draws on it, each byte pays in, and it never holds more than at the
        start: so neither silence nor a trickle of single bytes lasts.
        """
        if self._content.is_eof() and not self._waited:  # all of it is here: nobody is waited for
            return self._counted(await self._received())
        self._waited = True
        if self._invite:
            self._invite = False
            await self._send_continue()
        began = self._loop.time()
        self._move_deadline(began + max(self._patience, 0.0) if self._body_seconds else None)
        self.waiting = True
        piece = await self._received()
        self.waiting = False
        now = self._loop.time()
        self._patience = min(
            self._body_seconds, self._patience - (now - began) + len(piece) / SLOWEST_BODY_BYTES_PER_SECOND
        )
        self._move_deadline(now + self._answer_seconds)
        return self._counted(piece)

    async def _received(self) -> bytes:
        try:
            return await self._content.readany()
        except (web.RequestPayloadError, HttpProcessingError):
            self.refusal = bad_request("invalid_body", "The request's body is not valid HTTP.")
            raise self.refusal from None

    def _counted(self, piece: bytes) -> bytes:
        self._bytes += len(piece)
        if self._max_bytes and self._bytes > self._max_bytes:
            self.refusal = body_too_large()
            raise self.refusal
        return piece

    def _move_deadline(self, when: float | None) -> None:
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(when)

    async def _send_continue(self) -> None:
        """Tell a client that asked that its body is wanted now: upstream is there and takes it."""
        writer = self._request.writer
        await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.output_size = 0  # else aiohttp takes it for a begun answer


def route_of(method: str, path: str, query: str) -> str:
    """Return the label of the route: ``responses``, ``responses_get`` or ``other``.

    The path is compared as vLLM's router sees it, percent-decoded. A trailing slash makes it another path, there as here.
    """
    path = unquote(path)
    if method == hdrs.METH_POST and path == RESPONSES_PATH:
        return "responses"
    if method == hdrs.METH_GET and path.startswith(RESPONSES_PATH + "/"):
        response_id = path[len(RESPONSES_PATH) + 1 :]
        wanted = [value for name, value in _pairs(query) if name == "stream"]
        if response_id and "/" not in response_id and wanted and wanted[-1].lower() in _TRUE:
            return "responses_get"
    return "other"


def cancelled_id(method: str, path: str) -> str | None:
    """Return the id of the response that a request cancels; None if it is another request."""
    found = _CANCEL.fullmatch(unquote(path)) if method == hdrs.METH_POST else None
    return None if found is None else found[1]


def may_last(request: web.BaseRequest, route: str) -> bool:
    """Say whether a request may be answered by a stream, as far as it can be told before upstream has answered.

    What only asks (probes, metrics, lists of models) is left out: it is short, and it has to work under load most of all.
    """
    return route != "other" or request.method not in _ASKING or is_upgrade(request)


def is_upgrade(request: web.BaseRequest) -> bool:
    """Say whether a request asks for a protocol whose first byte would end HTTP on its connection."""
    return upgrade_of(request) in _UPGRADES and b"upgrade" in connection_options(request.raw_headers)


def upgrade_of(request: web.BaseRequest) -> str:
    """Return the protocol that a request would upgrade to, in lower case; empty: none."""
    return request.headers.get(hdrs.UPGRADE, "").strip().lower()


def parse_resume(target: str) -> Resume:
    """Take ``starting_after`` out of a target; every other byte of it stays.

    A value that is no integer stays where it is, for vLLM to refuse.
    """
    path, mark, query = target.partition("?")
    numbers = [value for name, value in _pairs(query) if name == "starting_after"]
    if not numbers or not all(_INTEGER.fullmatch(number) for number in numbers):
        return Resume(target, None)
    rest = "&".join(
        part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "starting_after"
    )
    return Resume(
        path + mark + rest if rest else path, int(numbers[-1])
    )  # FastAPI takes the last of several, too


def is_allowed(path: str, allowed: Sequence[str]) -> bool:
    """Say whether a path may be passed on; an empty list allows all.

    It is compared percent-decoded, as vLLM's router sees it. What another proxy before vLLM might resolve to a different path
    (dot segments, backslashes) is on no list.
    """
    if not allowed:
        return True
    path = unquote(path)
    if "\\" in path or not {".", ".."}.isdisjoint(path.split("/")):
        return False
    return any(path.startswith(entry[:-1]) if entry.endswith("*") else path == entry for entry in allowed)


def is_event_stream(answer: aiohttp.ClientResponse) -> bool:
    """Say whether an answer is a stream that can be read: 200, ``text/event-stream``, not compressed all the same."""
    media_type = answer.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    coding = answer.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    return answer.status == HTTPStatus.OK and media_type == "text/event-stream" and coding in {"", "identity"}


def parse_body(body: bytes) -> dict[str, Any] | None:
    """Return the request as JSON, or None if it is no JSON object: vLLM will say what is wrong with it."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def is_encodable(text: str) -> bool:
    """Say whether text can be sent as UTF-8: aiohttp reads stray bytes as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pairs(query: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in query.split("&"))
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in parts]
