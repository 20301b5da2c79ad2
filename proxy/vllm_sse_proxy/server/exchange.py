"""One request and its answer: what is known of it, for the log line and the metrics, and how to stop it from outside."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from vllm_sse_proxy.logs import emit
from vllm_sse_proxy.metrics import code_class

if TYPE_CHECKING:
    import asyncio

    from vllm_sse_proxy import Tally
    from vllm_sse_proxy.metrics import Metrics


class Body(Protocol):
    """The body of an answer on its way: what may be done to it from outside."""

    def stop(self) -> None:
        """The proxy has to stop: end it here."""

    def cancelled(self, response_id: str) -> None:
        """Take note that upstream cancelled a response: its stream would never end."""


class Exchange:
    """Plain facts, written by handler and relay while the request is answered. Times are the event loop's, in seconds.

    :ivar status: what the client was answered; None while it was not.
    :ivar bytes_in: bytes of upstream's body; ``bytes_out``: bytes of body written to the client.
    :ivar first_byte_at: when the client was sent the first bytes of the body.
    :ivar ending: how it ended: ``ok``, an :class:`~vllm_sse_proxy.families.responses.Ending` or the code of a proxy error.
    :ivar limit: the setting whose limit ended it; None for the others.
    :ivar deadline: the timeout that is running while there is no answer yet.
    :ivar proven_status: the status of the response that upstream was asked for, where that ended the stream.
    :ivar stopping: set when the proxy had to stop before this exchange was over.
    """

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "client",
        "deadline",
        "ending",
        "first_byte_at",
        "limit",
        "method",
        "path",
        "proven_status",
        "relay",
        "request_id",
        "route",
        "started_at",
        "status",
        "stopping",
        "stream",
        "tally",
        "upstream_status",
    )

    def __init__(
        self, *, request_id: str, method: str, path: str, route: str, client: str | None, started_at: float
    ) -> None:
        self.request_id = request_id
        self.method = method
        self.path = path
        self.route = route
        self.client = client
        self.started_at = started_at
        self.status: int | None = None
        self.upstream_status: int | None = None
        self.stream = False
        self.bytes_in = 0
        self.bytes_out = 0
        self.first_byte_at: float | None = None
        self.ending: str | None = None
        self.tally: Tally | None = None
        self.deadline: asyncio.Timeout | None = None
        self.relay: Body | None = None
        self.proven_status: str | None = None
        self.stopping = False
        self.limit: str | None = None

    def stop(self, now: float) -> None:
        """End it visibly: an answer under way is cut, a request without one is told that the proxy is shutting down."""
        self.stopping = True
        if self.relay is not None:
            self.relay.stop()
        elif self.deadline is not None:
            self.deadline.reschedule(now)

    def report(self, metrics: Metrics, *, now: float) -> None:
        """Count the request and write its line; call it once, at its end."""
        metrics.requests.labels(self.route, code_class(self.status)).inc()
        metrics.bytes.labels("in").inc(self.bytes_in)
        metrics.bytes.labels("out").inc(self.bytes_out)
        tally = self.tally
        emit(
            logging.INFO,
            "request",
            request_id=self.request_id,
            client_ip=self.client,
            method=self.method,
            path=self.path,
            status=self.status,
            upstream_status=self.upstream_status,
            stream=self.stream,
            ending=self.ending,
            limit=self.limit,
            proven_status=self.proven_status,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            duration_ms=_milliseconds(now - self.started_at),
            ttfb_ms=None
            if self.first_byte_at is None
            else _milliseconds(self.first_byte_at - self.started_at),
            events_in=None if tally is None else tally.events_in,
            events_out=None if tally is None else tally.events_out,
            repairs=None
            if tally is None
            else {name: count for name, count in tally.repairs.items() if count},
        )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
