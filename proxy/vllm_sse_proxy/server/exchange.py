"""One request and its answer: the facts for the log line and the metrics, and how to stop it from outside."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from vllm_sse_proxy.logs import emit, milliseconds
from vllm_sse_proxy.metrics import code_class
from vllm_sse_proxy.stream.ending import Ending

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.server.headers import RawHeaders
    from vllm_sse_proxy.stream.ending import BodyEnd
    from vllm_sse_proxy.stream.normalizer import StreamNormalizer
    from vllm_sse_proxy.stream.tally import Tally

# The facts that are logged as they are, in the order of the line.
_LOGGED: Final = (
    *("request_id", "client_ip", "peer_ip", "user_agent", "method", "path", "model"),
    *("status", "upstream_status", "stream", "family"),
    *("ending", "limit", "polled_status", "request_repairs", "bytes_in", "bytes_out"),
)

MAX_NAME_CHARACTERS: Final = 200
"""Models are named by paths, and SDKs name themselves with their platform; both stay below this."""


class Stoppable(Protocol):
    """The body of an answer on its way."""

    def stop(self) -> None:
        """End it here: the proxy has to stop."""


@dataclass(slots=True, eq=False, kw_only=True)
class Exchange:
    """Facts that gateway and relay record while the request is answered. Times are the event loop's, in seconds.

    :ivar metrics: where everything about this request is counted.
    :ivar route: the label of the route in metrics.
    :ivar client_ip: the client's address.
    :ivar peer_ip: the address that connected, if that is a trusted proxy.
    :ivar family: the family of the stream that answered it; None for other answers.
    :ivar raw_headers: the client's, as they came.
    :ivar user_agent: what the client calls itself.
    :ivar model: the model that is asked for, as far as the request was read.
    :ivar status: the status that the client was sent; None before that.
    :ivar bytes_in: bytes of upstream's body.
    :ivar bytes_out: bytes of body written to the client.
    :ivar first_byte_at: when the client was sent the first bytes of the body.
    :ivar ending: how it ended: ``ok``, ``upstream_4xx`` or ``upstream_5xx`` (passed through to their ends), an
        :class:`~vllm_sse_proxy.stream.ending.Ending` or the code of a proxy error.
    :ivar limit: the limit that ended it; None for the others.
    :ivar deadline: the timeout that is running while there is no answer yet.
    :ivar relay: the body of the answer, while it is on its way.
    :ivar polled_status: the status of the response that ended the stream, where upstream was polled for it.
    :ivar request_repairs: names of what was repaired in the request that upstream accepted.
    :ivar answer_repairs: names of the repairs that a JSON answer needed, each with 1; None for other answers.
    :ivar stopping: set when the proxy had to stop before this exchange was over.
    """

    metrics: Metrics
    request_id: str
    method: str
    path: str
    route: str
    client_ip: str | None
    started_at: float
    peer_ip: str | None = None
    raw_headers: RawHeaders = ()
    family: str | None = None
    user_agent: str | None = None
    model: str | None = None
    status: int | None = None
    upstream_status: int | None = None
    stream: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_at: float | None = None
    ending: str | None = None
    limit: str | None = None
    tally: Tally | None = None
    deadline: asyncio.Timeout | None = None
    relay: Stoppable | None = None
    polled_status: str | None = None
    request_repairs: list[str] | None = None
    answer_repairs: Mapping[str, int] | None = None
    stopping: bool = False

    def end_whole(self) -> None:
        """Record that an answer was passed through to its end; whether it was a good one, its status shows."""
        self.ending = f"upstream_{code_class(self.status)}" if self.is_refusal() else "ok"

    def end_stream(self, family: str, normalizer: StreamNormalizer, end: BodyEnd, now: float) -> str:
        """Record and count the stream that was the answer, however it ended; return how.

        :param end: how upstream's body ended, if the normalizer has not ended the stream.
        """
        if normalizer.ending is None:
            normalizer.finish(end)
        ending = normalizer.ending or Ending.CLIENT_GONE
        if normalizer.limit is not None:
            self.hit(normalizer.limit)
        self.ending = ending.value
        self.metrics.streams_in_flight.dec()
        self.metrics.flush(family, normalizer.tally, ending, duration_seconds=now - self.started_at)
        return ending.value

    def is_refusal(self) -> bool:
        """Return whether the status that the client was sent is one of an error."""
        return self.status is not None and self.status >= HTTPStatus.BAD_REQUEST

    def hit(self, limit: str) -> None:
        """Record and count the limit that ends this exchange."""
        self.limit = limit
        self.metrics.limits_hit.labels(limit).inc()

    def stop(self, now: float) -> None:
        """End it visibly: an answer on its way is cut, a request without one is answered that the proxy is shutting down."""
        self.stopping = True
        if self.relay is not None:
            self.relay.stop()
        elif self.deadline is not None:
            self.deadline.reschedule(now)

    def report(self, now: float) -> None:
        """Count the request and write its log line; call it once, at its end."""
        self.metrics.requests.labels(self.route, code_class(self.status)).inc()
        self.metrics.bytes.labels("in").inc(self.bytes_in)
        self.metrics.bytes.labels("out").inc(self.bytes_out)
        tally = self.tally
        first = self.first_byte_at
        emit(
            logging.INFO,
            "request",
            **{name: getattr(self, name) for name in _LOGGED},
            duration_ms=milliseconds(now - self.started_at),
            ttfb_ms=None if first is None else milliseconds(first - self.started_at),
            events_in=None if tally is None else tally.events_in,
            events_out=None if tally is None else tally.events_out,
            repairs=self.answer_repairs
            if tally is None
            else {name: count for name, count in tally.repairs.items() if count},
        )


def shortened(name: str) -> str:
    """Return a name that somebody else chose, such as a model's, no longer than a log line needs it."""
    return name if len(name) <= MAX_NAME_CHARACTERS else name[:MAX_NAME_CHARACTERS] + "…"
