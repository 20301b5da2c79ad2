from __future__ import annotations

import asyncio
from typing import Any, cast

from tests.support.http import happens
from tests.support.upstream import PATIENCE_SECONDS
from vllm_sse_proxy.server.silence import SilenceWatch


class Relay:
    """A relay and its two halves at once: what the sweep looks at."""

    def __init__(self, *, waiting: bool = True) -> None:
        self.writer = self.poller = cast("Any", self)
        self.waiting_since = self.last_write = asyncio.get_running_loop().time()
        self.asked_at = 0.0
        self.polls = 0
        self.polled_twice = asyncio.Event()
        self.waiting = waiting
        self.kept = asyncio.Event()
        self.ended = asyncio.Event()
        self.slow = False
        self.aborted = asyncio.Event()

    def is_waiting_for_upstream(self) -> bool:
        return self.waiting

    def is_waiting_for_client(self) -> bool:
        return self.slow

    def abort_slow_client(self) -> None:
        self.aborted.set()

    def end_idle(self) -> None:
        self.ended.set()

    def poll(self) -> None:
        now = asyncio.get_running_loop().time()
        assert now - max(self.asked_at, self.waiting_since) >= 0.02
        self.asked_at = now
        self.polls += 1
        if self.polls == 2:
            self.polled_twice.set()

    def keep_alive(self) -> None:
        self.last_write = asyncio.get_running_loop().time()
        self.kept.set()


async def test_keep_alives_then_the_idle_end() -> None:
    watch = SilenceWatch(keepalive_seconds=0.02, idle_timeout_seconds=0.2)
    silent, blocked = Relay(), Relay(waiting=False)
    with watch.watching(silent), watch.watching(blocked):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await silent.kept.wait()
            assert not silent.ended.is_set()
            await silent.ended.wait()
    assert not blocked.kept.is_set()
    assert not blocked.ended.is_set()


async def test_polls_come_at_their_pace_between_keep_alives() -> None:
    watch = SilenceWatch(keepalive_seconds=0.01, idle_timeout_seconds=0.0, status_poll_seconds=0.02)
    silent, blocked = Relay(), Relay(waiting=False)
    with watch.watching(silent), watch.watching(blocked):
        await happens(silent.polled_twice)
    assert silent.kept.is_set()
    assert blocked.polls == 0


async def test_a_limit_of_zero_is_none() -> None:
    for keepalive, idle in ((0.01, 0.0), (0.0, 0.01)):
        watch = SilenceWatch(keepalive_seconds=keepalive, idle_timeout_seconds=idle)
        relay = Relay()
        with watch.watching(relay):
            await happens(relay.kept if keepalive else relay.ended)
        assert relay.kept.is_set() is bool(keepalive)
        assert relay.ended.is_set() is bool(idle)


async def test_the_timer_runs_out_while_nothing_is_open() -> None:
    watch = SilenceWatch(keepalive_seconds=60, idle_timeout_seconds=60)
    for _ in range(2):
        with watch.watching(Relay()):
            timer = watch._timer
            assert timer is not None
        timer.cancel()
        watch._sweep()  # as the timer would have
        assert watch._timer is None
    never = SilenceWatch(keepalive_seconds=0, idle_timeout_seconds=0)
    with never.watching(Relay()):
        assert never._timer is None


async def test_a_client_that_takes_nothing_is_aborted_and_not_kept_alive() -> None:
    watch = SilenceWatch(keepalive_seconds=0.02, idle_timeout_seconds=0.02, write_timeout_seconds=0.02)
    relay = Relay(waiting=False)
    relay.slow = True
    with watch.watching(relay):
        await happens(relay.aborted)
    assert not relay.kept.is_set()
    assert not relay.ended.is_set()
