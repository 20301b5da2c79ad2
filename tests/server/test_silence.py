from __future__ import annotations

import asyncio

from tests.support.upstream import PATIENCE_SECONDS
from vllm_sse_proxy.server.silence import SilenceWatch


class Body:
    def __init__(self, *, waiting: bool = True) -> None:
        self.waiting_since = self.last_write = asyncio.get_running_loop().time()
        self.asked_at = 0.0
        self.questions = 0
        self.asked_twice = asyncio.Event()
        self.waiting = waiting
        self.kept = asyncio.Event()
        self.ended = asyncio.Event()
        self.stuck = False
        self.given_up = asyncio.Event()

    def is_waiting(self) -> bool:
        return self.waiting

    def is_stuck(self) -> bool:
        return self.stuck

    def slow_reader(self) -> None:
        self.given_up.set()

    def idle(self) -> None:
        self.ended.set()

    def ask_status(self) -> None:
        now = asyncio.get_running_loop().time()
        assert now - max(self.asked_at, self.waiting_since) >= 0.02
        self.asked_at = now
        self.questions += 1
        if self.questions == 2:
            self.asked_twice.set()

    def keep_alive(self) -> None:
        self.last_write = asyncio.get_running_loop().time()
        self.kept.set()


async def test_keep_alives_then_the_idle_end() -> None:
    watch = SilenceWatch(keepalive_seconds=0.02, idle_timeout_seconds=0.2)
    silent, blocked = Body(), Body(waiting=False)
    with watch.watching(silent), watch.watching(blocked):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await silent.kept.wait()
            assert not silent.ended.is_set()
            await silent.ended.wait()
    assert not blocked.kept.is_set()
    assert not blocked.ended.is_set()


async def test_questions_come_at_their_pace_between_keep_alives() -> None:
    watch = SilenceWatch(keepalive_seconds=0.01, idle_timeout_seconds=0.0, status_poll_seconds=0.02)
    silent, blocked = Body(), Body(waiting=False)
    with watch.watching(silent), watch.watching(blocked):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await silent.asked_twice.wait()
    assert silent.kept.is_set()
    assert blocked.questions == 0


async def test_a_limit_of_zero_is_none() -> None:
    for keepalive, idle in ((0.01, 0.0), (0.0, 0.01)):
        watch = SilenceWatch(keepalive_seconds=keepalive, idle_timeout_seconds=idle)
        body = Body()
        with watch.watching(body):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await (body.kept if keepalive else body.ended).wait()
        assert body.kept.is_set() is bool(keepalive)
        assert body.ended.is_set() is bool(idle)


async def test_no_timer_runs_while_nothing_is_open() -> None:
    watch = SilenceWatch(keepalive_seconds=1, idle_timeout_seconds=1)
    for _ in range(2):
        with watch.watching(Body()):
            assert watch._timer is not None
        assert watch._timer is None
    never = SilenceWatch(keepalive_seconds=0, idle_timeout_seconds=0)
    with never.watching(Body()):
        assert never._timer is None


async def test_a_client_that_takes_nothing_is_given_up_and_not_kept_alive() -> None:
    watch = SilenceWatch(keepalive_seconds=0.02, idle_timeout_seconds=0.02, write_timeout_seconds=0.02)
    body = Body(waiting=False)
    body.stuck = True
    with watch.watching(body):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await body.given_up.wait()
    assert not body.kept.is_set()
    assert not body.ended.is_set()
