"""How late the event loop runs what is due: the one figure that shows whether this process has more to do than one core can.

Everything in the proxy waits in the same loop, so what delays a timer delays every stream by as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from prometheus_client import Histogram

SAMPLE_SECONDS: Final = 0.5
"""Time between two samples: 30 in the 15 s between two typical scrapes, for 2 wake-ups a second."""


class LoopLag:
    """Samples the lag of an event loop from :meth:`start` to :meth:`stop`.

    :param lag: where each sample goes, in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lag: Histogram) -> None:
        self._loop = loop
        self._lag = lag
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take samples from now on."""
        self._due = self._loop.time() + SAMPLE_SECONDS
        self._timer = self._loop.call_at(self._due, self._sample)

    def stop(self) -> None:
        """Take no more samples; harmless before the start and when called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sample(self) -> None:
        # uvloop's clock counts whole milliseconds, so a timer may fire a little early: that is not lag.
        self._lag.observe(max(0.0, self._loop.time() - self._due))
        self.start()
