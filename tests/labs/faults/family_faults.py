"""Every fault of the way to upstream, once in a stream of each family but responses: each must end as an error."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from tests.labs.faults.answers import Script
from tests.labs.faults.process import ProxyProcess, chain
from tests.labs.faults.relay import ByteRelay, Fault, Kind
from tests.labs.faults.report import Row
from tests.labs.faults.upstream_faults import FAULTS, IDLE_SECONDS, next_id, post
from tests.support.chunk_streams import JUDGES, ROLE
from tests.support.chunk_streams import wire as chat_wire
from tests.support.http import RawClient
from tests.support.messages import wire as messages_wire
from tests.support.upstream import FakeUpstream, Raw
from vllm_sse_proxy.families import CHAT, COMPLETIONS
from vllm_sse_proxy.families.messages.conformance import check_stream as check_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.support.http import Answer


@dataclass(frozen=True)
class Case:
    """A whole stream of a family, and how its errors look.

    :ivar stream: `Hi` and more.
    :ivar begun: how many of its frames upstream sends before the fault.
    :ivar error: what an error begins with; ``success``: what only a stream has that ended well.
    """

    path: str
    stream: bytes
    begun: int
    judge: Callable[[bytes], Sequence[object]]
    error: bytes
    success: bytes

    def script(self) -> Script:
        """Return the answer on the wire."""
        return Script.of(tuple(frame + b"\n\n" for frame in self.stream.split(b"\n\n") if frame))


CASES: Final = {
    "chat": Case(
        "/v1/chat/completions",
        chat_wire(f'{ROLE}\n{{"content":"Hi"}}\n{{"content":" there"}}\n{{}} -> stop\n[DONE]', CHAT),
        2,
        JUDGES["chat"],
        b'data: {"error":',
        b'"finish_reason":"stop"',
    ),
    "completions": Case(
        "/v1/completions",
        chat_wire('"Hi"\n" there"\n"" -> stop\n[DONE]', COMPLETIONS),
        1,
        JUDGES["completions"],
        b'data: {"error":',
        b'"finish_reason":"stop"',
    ),
    "messages": Case(
        "/v1/messages",
        messages_wire("start\ntext 0\ntext+ 0 Hi\ntext+ 0  there\nstop 0\nend end_turn\nover"),
        3,
        check_messages,
        b"event: error\n",
        b"message_stop",
    ),
}
QUESTION: Final = orjson.dumps({"model": "m", "stream": True, "messages": [], "prompt": "", "max_tokens": 9})
"""A request of each family: what one does not know, the proxy hands on."""
HARMLESS: Final = {Kind.LATENCY}


def wrong_with(case: Case, kind: Kind, answer: Answer) -> list[str]:
    """Return what is wrong with the end of a stream."""
    body = answer.body
    found = [] if answer.status == 200 else [f"status {answer.status}"]
    found += [] if answer.complete else ["the body is cut"]
    found += [str(violation) for violation in list(case.judge(body))[:3]]
    is_error, is_success = case.error in body, case.success in body
    if (is_error, is_success) != (kind not in HARMLESS, kind in HARMLESS):
        found.append(f"an error: {is_error}, a success: {is_success}")
    if kind is not Kind.RESET and b"Hi" not in body:  # a reset overtakes bytes
        found.append("a word is lost")
    return found


async def _run(
    proxy: ProxyProcess, relay: ByteRelay, upstream: FakeUpstream, case: Case, kind: Kind
) -> tuple[str, list[str]]:
    script = case.script()
    relay.fault = Fault(kind, script.ends[case.begun] + 2)
    upstream.answer(Raw(script.wire))
    request_id = next_id()
    client = await RawClient.connect(proxy.port, limit=2**20)
    try:
        await client.send(post(request_id, QUESTION, case.path))
        answer = await client.answer()
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
        return "nothing", [f"the client got no answer: {error!r}"]
    finally:
        client.leave()
    line = await proxy.request_line(request_id)
    return str(line["ending"]), wrong_with(case, kind, answer)


async def families(faults: Iterable[str] = FAULTS, cases: Iterable[str] = CASES) -> list[Row]:
    """Do every fault in a stream of every family, in the middle of its text."""
    rows = []
    limits = {"idle_timeout_seconds": IDLE_SECONDS, "first_byte_timeout_seconds": IDLE_SECONDS}
    async with chain(**limits) as (upstream, relay, proxy):
        for name, family in itertools.product(faults, cases):
            shown, wrong = await _run(proxy, relay, upstream, CASES[family], FAULTS[name])
            rows.append(Row("families", name, family, shown, wrong))
    return rows
