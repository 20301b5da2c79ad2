"""One coarse clock for everything that depends on silence: keep-alives, status polls, the idle and the write timeout.

A timer per read or write would cost more than the repair of an event. Instead each open relay notes when it last moved (one
``loop.time()``), and one sweep per process looks at all of them: four times per limit, and at least once a second while
anything is open. So a limit is met up to a quarter of it, or a second, late; never early.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from vllm_sse_proxy.server.answers import AnswerWriter
    from vllm_sse_proxy.server.handling import Poller

LONGEST_SWEEP_SECONDS: Final = 1.0
SWEEPS_PER_LIMIT: Final = 4


class Watched(Protocol):
    """A relay, as the sweep sees it."""

    @property
    def writer(self) -> AnswerWriter:
        """The client's side."""

    @property
    def poller(self) -> Poller | None:
        """Polls upstream beside the stream; None: nobody does."""

    @property
    def waiting_since(self) -> float:
        """Loop time at which it last began to wait for upstream."""

    def is_waiting_for_upstream(self) -> bool:
        """Return whether upstream is being waited for, and not a slow client."""

    def end_idle(self) -> None:
        """End upstream's body: it was silent for the idle limit."""

    def keep_alive(self) -> None:
        """Send a keep-alive, if the body can hold one: nothing was sent for the keep-alive time."""


class SilenceWatch:
    """Watches the open relays of one event loop. A time of 0 never calls what it is for.

    :param keepalive_seconds: silence towards the client before ``keep_alive()``.
    :param idle_timeout_seconds: silence of upstream before ``end_idle()``.
    :param status_poll_seconds: silence of upstream before ``poll()``, and between two calls of it.
    :param write_timeout_seconds: time for which a client takes nothing before ``abort_slow_client()``.
    """

    def __init__(
        self,
        *,
        keepalive_seconds: float,
        idle_timeout_seconds: float,
        status_poll_seconds: float = 0.0,
        write_timeout_seconds: float = 0.0,
    ) -> None:
        self._keepalive = keepalive_seconds or math.inf
        self._idle = idle_timeout_seconds or math.inf
        self._poll = status_poll_seconds or math.inf
        self._write = write_timeout_seconds or math.inf
        shortest = min(self._keepalive, self._idle, self._poll, self._write)
        self._period = min(LONGEST_SWEEP_SECONDS, shortest / SWEEPS_PER_LIMIT) if shortest < math.inf else 0.0
        self._open: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watching(self, relay: Watched) -> _Watching:
        """Watch a relay for as long as the context lasts."""
        return _Watching(self, relay)

    def add(self, relay: Watched) -> None:
        """Begin to watch a relay."""
        self._open.add(relay)
        if self._timer is None and self._period:
            self._timer = asyncio.get_running_loop().call_later(self._period, self._sweep)

    def remove(self, relay: Watched) -> None:
        """Stop watching a relay. The timer runs out by itself: most often there is another relay by then."""
        self._open.discard(relay)

    def _sweep(self) -> None:
        if not self._open:
            self._timer = None
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period, self._sweep)
        now = loop.time()
        for relay in self._open:
            self._look_at(relay, now)

    def _look_at(self, relay: Watched, now: float) -> None:
        writer, poller = relay.writer, relay.poller
        if writer.is_waiting_for_client() and now - writer.last_write >= self._write:
            writer.abort_slow_client()
            return
        if not relay.is_waiting_for_upstream():
            return
        silent_since = relay.waiting_since
        if now - silent_since >= self._idle:
            relay.end_idle()
            return
        if poller is not None and now - max(silent_since, poller.asked_at) >= self._poll:
            poller.poll()
        if now - writer.last_write >= self._keepalive:
            relay.keep_alive()


class _Watching:
    """The context of :meth:`SilenceWatch.watching`: a third of the cost of a generator's, for every request."""

    __slots__ = ("_relay", "_watch")

    def __init__(self, watch: SilenceWatch, relay: Watched) -> None:
        self._watch = watch
        self._relay = relay

    def __enter__(self) -> None:
        self._watch.add(self._relay)

    def __exit__(self, *_: object) -> None:
        self._watch.remove(self._relay)
