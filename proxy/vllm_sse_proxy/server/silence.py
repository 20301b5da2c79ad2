"""One coarse clock for everything that depends on silence: keep-alives, questions to upstream, the idle timeout.

A timer per read or write would cost more than the repair of an event. Instead each open body notes when it last moved (one
``loop.time()``), and one sweep per process looks at all of them, a few times per limit and at least once a second while
anything is open. So a limit is met up to a quarter of it, or a second, late; never early.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

LONGEST_SWEEP_SECONDS: Final = 1.0
SWEEPS_PER_LIMIT: Final = 4


class Watched(Protocol):
    """A body on its way: what the sweep looks at. Times are the event loop's, in seconds."""

    waiting_since: float
    """When it last began to wait for upstream."""
    last_write: float
    """When the client was last sent anything."""
    asked_at: float
    """When upstream was last asked how the response stands; minus infinity: never."""

    def is_waiting(self) -> bool:
        """Say whether it is upstream that is being waited for (and not a slow client)."""

    def is_stuck(self) -> bool:
        """Say whether the client is being waited for: it has not taken what was last written."""

    def slow_reader(self) -> None:
        """The client took nothing for the writing limit: give it up."""

    def idle(self) -> None:
        """Upstream was silent for the idle limit: stop reading."""

    def ask_status(self) -> None:
        """Upstream was silent for the polling time: ask it how the response stands, if this body is one's stream."""

    def keep_alive(self) -> None:
        """Nothing was sent for the keep-alive time: send something, if this body may hold it."""


class SilenceWatch:
    """Looks after the open bodies of one event loop.

    :param keepalive_seconds: silence towards the client before ``keep_alive()``; 0 never calls it.
    :param idle_timeout_seconds: silence of upstream before ``idle()``; 0 never calls it.
    :param status_poll_seconds: silence of upstream before ``ask_status()``, and between two calls of it; 0 never calls it.
    :param write_timeout_seconds: time for which a client takes nothing before ``slow_reader()``; 0 never calls it.
    """

    def __init__(
        self,
        *,
        keepalive_seconds: float,
        idle_timeout_seconds: float,
        status_poll_seconds: float = 0.0,
        write_timeout_seconds: float = 0.0,
    ) -> None:
        self._keepalive = keepalive_seconds
        self._idle = idle_timeout_seconds
        self._poll = status_poll_seconds
        self._write = write_timeout_seconds
        limits = [
            limit / SWEEPS_PER_LIMIT
            for limit in (keepalive_seconds, idle_timeout_seconds, status_poll_seconds, write_timeout_seconds)
            if limit
        ]
        self._period = min([LONGEST_SWEEP_SECONDS, *limits]) if limits else 0.0
        self._open: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watching(self, body: Watched) -> _Watching:
        """Look after a body for as long as the context lasts."""
        return _Watching(self, body)

    def add(self, body: Watched) -> None:
        """Begin to look after a body."""
        self._open.add(body)
        if self._timer is None and self._period:
            self._timer = asyncio.get_running_loop().call_later(self._period, self._sweep)

    def remove(self, body: Watched) -> None:
        """Look after it no longer."""
        self._open.discard(body)
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period, self._sweep)
        now = loop.time()
        for body in self._open:
            if self._write and body.is_stuck() and now - body.last_write >= self._write:
                body.slow_reader()
                continue
            if not body.is_waiting():
                continue
            if self._idle and now - body.waiting_since >= self._idle:
                body.idle()
                continue
            if self._poll and now - max(body.waiting_since, body.asked_at) >= self._poll:
                body.ask_status()
            if self._keepalive and now - body.last_write >= self._keepalive:
                body.keep_alive()


class _Watching:
    """The context of :meth:`SilenceWatch.watching`: a third of the cost of a generator's, for every request."""

    __slots__ = ("_body", "_watch")

    def __init__(self, watch: SilenceWatch, body: Watched) -> None:
        self._watch = watch
        self._body = body

    def __enter__(self) -> None:
        self._watch.add(self._body)

    def __exit__(self, *_: object) -> None:
        self._watch.remove(self._body)
