"""What happens to streams beside being read: resumed, cancelled, left, continued, and servers that die or stop under them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

from tests.labs.live.dialogues import BY_NAME, after_output
from tests.labs.live.judge import (
    Compared,
    compare_refusals,
    compare_streams,
    ends_as,
    last_number,
    resume_faults,
    stream_faults,
)
from tests.labs.live.server import requests_running, until
from tests.labs.live.streams import asked, long_answer, requests, tool_outputs
from tests.labs.live.wire import Answer, End
from tests.support.replay import bodies, what_is_said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.labs.live.setup import Setup

ROWS: dict[str, str] = {
    "background": "background responses, streamed",
    "resume": "resumed after N events: none, the first ones, in the middle, the last one, beyond the end",
    "cancel": "a background response that is cancelled: its stream ends, and can be resumed",
    "continue": "`previous_response_id` with the output of a call, under the `call_id` that was streamed",
    "leave": "the client goes away in mid-stream: the engine stops generating",
    "engine killed": "the engine's process is killed under a text, a call and a background response",
    "after the death": "the next request after the engine died",
    "server stopped": "the server gets SIGTERM under a text and a background response",
}
BACKGROUND = (
    "texts/math",
    "calls/weather",
    "calls/preamble",
    "calls/note",
    "limits/math-12",
    "limits/weather-25",
)
STEP_SECONDS = 0.05
UNDER_WAY_SECONDS = 20
"""How long a stream may take to get under way: it waits for its turn on a busy machine."""
STOPPED_SECONDS = 60
"""How long the engine may take to notice that nobody reads any more: a second, and longer on a busy machine."""
EVENTS = 5
"""How many events a stream has sent when something happens to it."""


async def streams(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Yield every request's streams, with their group."""
    for request in requests(setup.way):
        direct, upstream, emitted = await setup.both(request.body)
        if direct.is_stream or emitted.is_stream:
            yield request.group, compare_streams(request.name, direct, upstream, emitted)
        else:
            yield request.group, compare_refusals(request.name, direct, emitted)


def response_id(stream: bytes) -> str:
    """Return the id of the response that a stream has; the empty string if it has none."""
    found = re.search(rb'"id": ?"(resp_[^"]+)"', stream)
    return found[1].decode() if found else ""


async def in_background(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Yield what happens to background responses, and to clients that leave or go on."""
    for scenario in (background, cancel, continued, leave):
        async for row, compared in scenario(setup):
            yield row, compared


async def background(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Yield background streams, and each resumed in many places."""
    known = {request.name: request.body for request in requests(setup.way)}
    for name in BACKGROUND:
        if name not in known:
            continue
        direct, upstream, emitted = await setup.both({**known[name], "background": True, "store": True})
        yield "background", compare_streams(name, direct, upstream, emitted)
        last = last_number(emitted.body)
        for number in dict.fromkeys(
            [None, 0, 1, 2, 3, 5, 8, 13, last // 2, last - 3, last - 1, last, last + 1000]
        ):
            if number is not None and number < 0:
                continue
            found = []
            for stream, proxied in ((direct, False), (emitted, True)):
                query = "" if number is None else f"&starting_after={number}"
                path = f"/v1/responses/{response_id(stream.body)}?stream=true{query}"
                again = await setup.ask("GET", path, proxied=proxied, silence_seconds=0 if proxied else 3)
                found.append(resume_faults(stream.body, number, again))
            yield "resume", Compared(f"{name} after {number} of {last}", *found)


class _Watched:
    """A long stream that is being read, and what has come of it."""

    def __init__(self, setup: Setup, body: dict[str, Any], *, proxied: bool) -> None:
        self.body = b""
        self.name = ""
        self.proxied = proxied
        self._setup = setup
        self.task = asyncio.create_task(self._read(body))

    async def _read(self, body: dict[str, Any]) -> Answer:
        return await self._setup.post(body, proxied=self.proxied, leave=self._see)

    def _see(self, body: bytes) -> bool:
        self.body = body
        return False

    async def under_way(self) -> None:
        """Wait until it has sent some events, or is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNDER_WAY_SECONDS):
                while self.body.count(b"\n\n") < EVENTS and not self.task.done():
                    await asyncio.sleep(STEP_SECONDS)


async def cancel(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Yield a background response that is cancelled in mid-stream, either way, and resumed afterwards."""
    faults: list[list[str]] = []
    resumed: list[list[str]] = []
    for proxied in (False, True):
        stream = _Watched(setup, long_answer(background=True, store=True), proxied=proxied)
        await stream.under_way()
        path = f"/v1/responses/{response_id(stream.body)}"
        cancelled = await setup.ask("POST", f"{path}/cancel", {}, proxied=proxied)
        answer = await stream.task
        found = [] if cancelled.status == 200 else [f"the cancel is answered by HTTP {cancelled.status}"]
        faults.append(found + stream_faults(answer, done=proxied))
        again = await setup.ask("GET", f"{path}?stream=true&starting_after=2", proxied=proxied)
        resumed.append(resume_faults(answer.body, 2, again))
    yield "cancel", Compared("stream", *faults)
    yield "cancel", Compared("resume", *resumed)


async def continued(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Yield a second turn that names the first one and brings the output of its call."""
    for name in ("weather", "preamble"):
        found: list[list[str]] = []
        for proxied in (False, True):
            body = asked(name, tools=True, store=True)
            first = await setup.post(body, proxied=proxied)
            items = [
                event["item"]
                for event in bodies(first.body)
                if event.get("type") == "response.output_item.done"
            ]
            calls = [item for item in items if item.get("type") == "function_call"]
            if not calls:
                found.append(["the first turn calls nothing"])
                continue
            second = {**body, "previous_response_id": response_id(first.body), "input": tool_outputs(calls)}
            answer = await setup.post(second, proxied=proxied)
            faults = stream_faults(answer, done=proxied)
            said = what_is_said(answer.body).deltas.get("output_text", "")
            if (
                not faults
                and setup.way.model
                and after_output(BY_NAME[name], harmony=setup.way.is_harmony) not in said
            ):
                faults = [f"it says {said!r}"]
            found.append(faults)
        yield "continue", Compared(name, *found)


async def leave(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Yield clients that close their connection in mid-stream; vLLM's own metric says whether it goes on."""
    for name, body in (
        ("text", long_answer()),
        ("call", asked("weather", tools=True, ignore_eos=True, max_output_tokens=20000)),
    ):
        found: list[list[str]] = []
        for proxied in (False, True):
            stream = _Watched(setup, body, proxied=proxied)
            await stream.under_way()
            began = await until(lambda running: running > 0, setup.server_url, UNDER_WAY_SECONDS)
            stream.task.cancel()
            await asyncio.gather(stream.task, return_exceptions=True)
            stopped = await until(lambda running: running == 0, setup.server_url, STOPPED_SECONDS)
            running = await requests_running(setup.server_url)
            faults = [] if began else ["the engine was not seen at work"]
            found.append(faults + ([] if stopped else [f"{running:.0f} requests still run"]))
        yield "leave", Compared(name, *found)


async def _under(
    setup: Setup, row: str, named: dict[str, dict[str, Any]], happens: Callable[[], None]
) -> AsyncIterator[tuple[str, Compared]]:
    """Yield streams under which something happens to the server: they have to report that they failed, and end."""
    open_ = {
        (name, proxied): _Watched(setup, body, proxied=proxied)
        for name, body in named.items()
        for proxied in (False, True)
    }
    await asyncio.gather(*(stream.under_way() for stream in open_.values()))
    happens()
    answers = dict(zip(open_, await asyncio.gather(*(stream.task for stream in open_.values())), strict=True))
    for name in named:
        found = []
        for proxied in (False, True):
            answer = answers[name, proxied]
            faults = stream_faults(answer, done=proxied)
            if not faults and not ends_as(answer.body, "response.failed"):
                faults = ["it does not say that it failed"]
            found.append(faults)
        yield row, Compared(name, *found)


async def engine_killed(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Kill the engine under streams, and ask once more afterwards. The server is of no use after it."""
    assert setup.server is not None
    named = {
        "text": long_answer(),
        "call": asked("weather", tools=True, ignore_eos=True, max_output_tokens=20000),
        "background": long_answer(background=True, store=True),
    }
    async for row, compared in _under(setup, "engine killed", named, setup.server.kill_engine):
        yield row, compared
    found = []
    for proxied in (False, True):
        answer = await setup.post(asked("hello"), proxied=proxied)
        error = answer.json()
        fine = (
            answer.status >= 500 and answer.end is End.WHOLE and isinstance(error, dict) and "error" in error
        )
        found.append([] if fine else [f"HTTP {answer.status} ({answer.end})"])
    yield "after the death", Compared("text", *found)


async def server_stopped(setup: Setup) -> AsyncIterator[tuple[str, Compared]]:
    """Send the server SIGTERM under streams. It is gone after it."""
    assert setup.server is not None
    named = {"text": long_answer(), "background": long_answer(background=True, store=True)}
    async for row, compared in _under(setup, "server stopped", named, setup.server.terminate):
        yield row, compared
