from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from vllm_sse_proxy.metrics import Metrics
from vllm_sse_proxy.server.lag import SAMPLE_SECONDS, LoopLag

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tests.server.conftest import Start


class Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """An event loop whose clock the test turns."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due = 0.0
        self.timers: list[Timer] = []
        self.run: Callable[[], None] = lambda: None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.due, self.run = when, callback
        self.timers.append(Timer())
        return self.timers[-1]


def samples(metrics: Metrics) -> tuple[float, float]:
    found = {
        sample.name: sample.value for family in metrics.event_loop_lag.collect() for sample in family.samples
    }
    return found["sse_proxy_event_loop_lag_seconds_count"], found["sse_proxy_event_loop_lag_seconds_sum"]


def test_lag_is_how_late_the_timer_ran() -> None:
    metrics, loop = Metrics(), Loop()
    lag = LoopLag(cast("asyncio.AbstractEventLoop", loop), metrics.event_loop_lag)
    lag.stop()
    lag.start()
    for late in (0.25, 0.0, -0.0005):
        assert loop.due == pytest.approx(loop.now + SAMPLE_SECONDS)
        loop.now = loop.due + late
        loop.run()
    assert samples(metrics) == pytest.approx((3, 0.25))
    lag.stop()
    assert loop.timers[-1].is_cancelled
    assert len(loop.timers) == 4


async def test_a_server_samples_until_it_stops(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[LoopLag] = []

    class Noted(LoopLag):
        def start(self) -> None:
            super().start()
            started.append(self)

    monkeypatch.setattr("vllm_sse_proxy.server.app.LoopLag", Noted)
    proxy = await start()
    (lag,) = started
    assert lag._timer is not None
    await proxy.stop()
    assert lag._timer is None
