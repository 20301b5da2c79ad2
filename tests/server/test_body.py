"""From upstream's socket to the recipient in one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import pytest
from aiohttp.client_proto import ResponseHandler

from tests.support.upstream import PATIENCE_SECONDS
from vllm_sse_proxy.server.answers import at_once
from vllm_sse_proxy.server.body import MUCH_BYTES, UpstreamBody
from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Transport(asyncio.Transport):
    """A transport that reads nothing by itself."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self._reading = True
        self.closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        assert self._reading
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def receive(self, data: bytes) -> None:
        cast("asyncio.Protocol", self.protocol).data_received(data)

    def lose(self, error: Exception | None = None) -> None:
        cast("asyncio.Protocol", self.protocol).connection_lost(error)


class Recipient:
    """Takes what it is given, and can be blocked."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.blocked = False
        self.when_taken: Callable[[], None] = lambda: None

    def is_blocked(self) -> bool:
        return self.blocked

    def take(self, data: bytes) -> None:
        self.taken.append(data)
        self.when_taken()


class Delivery:
    """A body, what it comes from and who takes it."""

    def __init__(self) -> None:
        self.protocol = ResponseHandler(asyncio.get_running_loop())
        self.transport = Transport(self.protocol)
        self.protocol.transport = self.transport
        self.protocol.set_response_params(auto_decompress=False, read_until_eof=True)
        self.recipient = Recipient()
        self.exchange = mock.Mock(bytes_in=0)
        self.most_bytes = -1

    async def begin(self, head: bytes = CHUNKED, early: bytes = b"") -> asyncio.Task[None]:
        """Receive the head, and what comes before the delivery begins; deliver until nothing more is here."""
        self.transport.receive(head)
        message, content = await self.protocol.read()
        if early:
            self.transport.receive(early)
        answer = mock.Mock(headers=message.headers, content=content, **{"connection.protocol": self.protocol})
        self.body = UpstreamBody(answer, self.exchange)
        return await self.deliver()

    async def deliver(self) -> asyncio.Task[None]:
        task = asyncio.create_task(
            self.body.deliver(self.recipient.take, self.recipient.is_blocked, most_bytes=self.most_bytes)
        )
        await turn()
        return task

    @property
    def taken(self) -> bytes:
        return b"".join(self.recipient.taken)


async def turn() -> None:
    """Let everything run that can."""
    ran = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(ran.set_result, None)
    await ran


async def over(task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await task


async def test_what_the_socket_brings_is_taken_before_it_brings_more() -> None:
    delivery = Delivery()
    task = await delivery.begin(CHUNKED + chunk(b"with the head"))
    assert delivery.recipient.taken == [b"with the head"]
    delivery.transport.receive(chunk(b"a") + chunk(b"b"))
    delivery.transport.receive(chunk(b"c")[:-1])
    assert delivery.recipient.taken == [b"with the head", b"ab", b"c"]
    assert delivery.body.is_waiting()
    assert (delivery.body.bytes_received, delivery.exchange.bytes_in) == (16, 16)
    delivery.transport.receive(b"\n" + END)
    assert delivery.transport.protocol is delivery.protocol
    assert not delivery.body.is_waiting()
    await over(task)
    assert delivery.body.end is BodyEnd.EOF


async def test_a_whole_body_is_taken_without_waiting() -> None:
    delivery = Delivery()
    task = await delivery.begin(CHUNKED + chunk(b"a") + END)
    assert task.done()
    assert (delivery.taken, delivery.body.end) == (b"a", BodyEnd.EOF)


@pytest.mark.parametrize(
    ("head", "error", "end"),
    [
        (CHUNKED, None, BodyEnd.CUT),
        (CHUNKED, ConnectionResetError(), BodyEnd.RESET),
        (UNTIL_CLOSE, None, BodyEnd.EOF),
        (UNTIL_CLOSE, ConnectionResetError(), BodyEnd.RESET),
    ],
)
@pytest.mark.parametrize("blocked", [False, True])
async def test_how_a_lost_connection_ends_a_body(
    head: bytes, error: Exception | None, end: BodyEnd, *, blocked: bool
) -> None:
    delivery = Delivery()
    task = await delivery.begin(head)
    delivery.recipient.blocked = blocked
    delivery.transport.receive(b"a" if head is UNTIL_CLOSE else chunk(b"a"))
    delivery.transport.lose(error)
    if blocked:
        assert (delivery.taken, delivery.body.end) == (b"", None)
        delivery.recipient.blocked = False
        delivery.body.resume()
    await over(task)
    assert (delivery.taken, delivery.body.end) == (b"a", end)


@pytest.mark.parametrize("early", [False, True], ids=["between chunks", "before the delivery"])
async def test_wrong_framing_cuts_a_body(*, early: bool) -> None:
    delivery, wrong = Delivery(), chunk(b"a") + b"no length\r\n"
    task = await delivery.begin(early=wrong if early else b"")
    if not early:
        delivery.transport.receive(wrong)
    assert delivery.transport.closing
    delivery.transport.lose()
    await over(task)
    assert (delivery.taken, delivery.body.end) == (b"a", BodyEnd.CUT)


async def test_a_connection_that_was_lost_before_the_delivery() -> None:
    delivery = Delivery()
    delivery.transport.receive(CHUNKED + chunk(b"a"))
    delivery.transport.lose()
    task = await delivery.begin(b"")
    await over(task)
    assert (delivery.taken, delivery.body.end) == (b"a", BodyEnd.CUT)


async def test_more_than_aiohttp_keeps_came_before_the_delivery() -> None:
    delivery = Delivery()
    delivery.transport.receive(CHUNKED)
    for _ in range(3):
        delivery.transport.receive(chunk(b"x" * 262_144))
    assert not delivery.transport.is_reading()
    task = await delivery.begin(b"")
    assert delivery.transport.is_reading()
    delivery.transport.receive(chunk(b"y") + END)
    await over(task)
    assert delivery.taken == b"x" * 3 * 262_144 + b"y"


class TestRecipients:
    async def test_a_blocked_one_pauses_upstream(self) -> None:
        delivery = Delivery()
        delivery.recipient.when_taken = lambda: setattr(delivery.recipient, "blocked", True)
        task = await delivery.begin()
        delivery.transport.receive(chunk(b"a"))
        delivery.transport.receive(chunk(b"b"))  # TLS may have read ahead
        delivery.transport.receive(chunk(b"c"))
        assert delivery.taken == b"a"
        assert not delivery.transport.is_reading()
        assert not delivery.body.is_waiting()
        delivery.recipient.blocked = False
        delivery.body.resume()
        assert delivery.taken == b"abc"
        assert not delivery.transport.is_reading()
        delivery.recipient.blocked = False
        delivery.body.resume()
        assert delivery.transport.is_reading()
        assert delivery.body.is_waiting()
        delivery.transport.receive(END)
        await over(task)

    async def test_a_connection_is_given_back_while_a_blocked_one_has_not_taken_all(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        delivery.recipient.blocked = True
        delivery.transport.receive(chunk(b"a"))
        assert not delivery.transport.is_reading()
        delivery.transport.receive(chunk(b"b") + END)  # TLS, again
        assert delivery.transport.is_reading()
        assert delivery.transport.protocol is delivery.protocol
        assert not task.done()
        delivery.recipient.blocked = False
        delivery.body.resume()
        await over(task)
        assert (delivery.taken, delivery.body.end) == (b"ab", BodyEnd.EOF)

    async def test_one_that_makes_room_for_itself_gets_everything_in_order(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        delivery.recipient.blocked = True
        delivery.transport.receive(chunk(b"a"))
        delivery.recipient.blocked = False
        delivery.recipient.when_taken = delivery.body.resume
        delivery.transport.receive(chunk(b"b") + END)
        await over(task)
        assert delivery.taken == b"ab"

    async def test_what_one_raises_ends_the_delivery(self) -> None:
        delivery = Delivery()
        delivery.recipient.when_taken = mock.Mock(side_effect=ValueError("no"))
        task = await delivery.begin()
        delivery.transport.receive(chunk(b"a"))
        delivery.transport.receive(chunk(b"b"))
        with pytest.raises(ValueError, match="no"):
            await over(task)
        assert delivery.taken == b"a"
        assert delivery.transport.protocol is delivery.protocol

    async def test_one_that_has_enough_can_go_on_later(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        delivery.recipient.when_taken = delivery.body.stop
        delivery.transport.receive(chunk(b"a"))
        delivery.transport.receive(chunk(b"b"))
        await over(task)
        assert (delivery.taken, delivery.body.end) == (b"a", None)
        delivery.recipient.when_taken = lambda: None
        task = await delivery.deliver()
        assert delivery.taken == b"ab"
        delivery.transport.receive(END)
        await over(task)
        assert delivery.body.end is BodyEnd.EOF


class TestMuchAtOnce:
    """uvloop reads one socket again and again as long as it brings much; the others would wait."""

    async def test_the_socket_rests_until_the_next_turn(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        for _ in range(2):  # the second is what TLS had read ahead
            delivery.transport.receive(chunk(b"x" * MUCH_BYTES))
            assert not delivery.transport.is_reading()
        assert delivery.body.is_waiting()
        await turn()
        assert delivery.transport.is_reading()
        assert len(delivery.taken) == 2 * MUCH_BYTES
        delivery.transport.receive(END)
        await over(task)

    async def test_a_blocked_recipient_is_waited_for_all_the_same(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        delivery.recipient.when_taken = lambda: setattr(delivery.recipient, "blocked", True)
        delivery.transport.receive(chunk(b"x" * MUCH_BYTES))
        await turn()
        assert not delivery.transport.is_reading()
        delivery.recipient.blocked = False
        delivery.body.resume()
        assert delivery.transport.is_reading()
        task.cancel()
        await asyncio.wait({task})

    async def test_room_in_the_same_turn_does_not_end_the_rest(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        delivery.recipient.when_taken = lambda: setattr(delivery.recipient, "blocked", True)
        delivery.transport.receive(chunk(b"x" * MUCH_BYTES))
        delivery.recipient.blocked = False
        delivery.body.resume()
        assert not delivery.transport.is_reading()
        await turn()
        assert delivery.transport.is_reading()
        task.cancel()
        await asyncio.wait({task})

    async def test_a_transport_is_given_back_reading(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        delivery.transport.receive(chunk(b"x" * MUCH_BYTES))
        task.cancel()
        await asyncio.wait({task})
        assert delivery.transport.is_reading()
        assert delivery.transport.protocol is delivery.protocol


class TestPieces:
    """What is made of a stream's bytes may take long: the other streams wait for one piece at most (issue 12, K11)."""

    @pytest.mark.parametrize("comes", ["before", "whole", "without_end"])
    async def test_one_is_taken_in_a_turn(self, comes: str) -> None:
        stream = b"".join(b"data: %d\n\n" % number for number in range(20))
        delivery = Delivery()
        delivery.most_bytes = 40
        end = b"" if comes == "without_end" else END
        if comes == "before":
            task = await delivery.begin(early=chunk(stream) + end)
        else:
            task = await delivery.begin()
            delivery.transport.receive(chunk(stream) + end)
        for pieces in range(len(delivery.recipient.taken), 5):
            assert len(delivery.recipient.taken) == pieces
            assert not delivery.body.is_waiting()
            await asyncio.sleep(0)  # one turn of the loop: `turn` waits for two
        if comes == "without_end":
            await turn()
            assert delivery.transport.is_reading()
            assert not task.done()
            delivery.transport.receive(END)
        await over(task)
        assert delivery.taken == stream
        assert delivery.body.end is BodyEnd.EOF
        assert delivery.exchange.bytes_in == len(stream)
        assert {piece[-2:] for piece in delivery.recipient.taken} == {b"\n\n"}

    async def test_a_line_that_is_longer_is_cut(self) -> None:
        delivery = Delivery()
        delivery.most_bytes = 40
        task = await delivery.begin()
        delivery.transport.receive(chunk(b"x" * 100) + END)
        await over(task)
        assert list(map(len, delivery.recipient.taken)) == [40, 40, 20]

    async def test_a_blocked_recipient_is_waited_for_between_two(self) -> None:
        delivery = Delivery()
        delivery.most_bytes = 40
        task = await delivery.begin()
        delivery.recipient.when_taken = lambda: setattr(delivery.recipient, "blocked", True)
        delivery.transport.receive(chunk(b"x" * 100))
        await turn()
        await turn()
        assert len(delivery.taken) == 40
        assert not delivery.transport.is_reading()
        delivery.recipient.when_taken = lambda: None
        delivery.recipient.blocked = False
        delivery.body.resume()
        await turn()
        await turn()
        assert len(delivery.taken) == 100
        assert delivery.transport.is_reading()
        delivery.transport.receive(END)
        await over(task)

    async def test_an_end_from_outside_leaves_nothing(self) -> None:
        delivery = Delivery()
        delivery.most_bytes = 40
        task = await delivery.begin()
        delivery.transport.receive(chunk(b"x" * 100))
        delivery.body.end_with(BodyEnd.SHUTDOWN)
        await over(task)
        assert len(delivery.taken) == 100
        assert delivery.body.end is BodyEnd.SHUTDOWN


class TestEndsFromOutside:
    async def test_the_first_one_counts(self) -> None:
        delivery = Delivery()
        task = await delivery.begin(CHUNKED + chunk(b"a"))
        delivery.body.end_with(BodyEnd.IDLE_TIMEOUT)
        delivery.body.end_with(BodyEnd.SHUTDOWN)
        delivery.transport.lose()
        await over(task)
        assert (delivery.taken, delivery.body.end) == (b"a", BodyEnd.IDLE_TIMEOUT)

    async def test_a_blocked_recipient_gets_what_is_here(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        delivery.recipient.blocked = True
        delivery.transport.receive(chunk(b"a"))
        delivery.body.end_with(BodyEnd.SHUTDOWN)
        await over(task)
        assert (delivery.taken, delivery.body.end) == (b"a", BodyEnd.SHUTDOWN)

    async def test_a_cancelled_delivery_gives_the_transport_back(self) -> None:
        delivery = Delivery()
        task = await delivery.begin()
        task.cancel()
        await asyncio.wait({task})
        assert delivery.transport.protocol is delivery.protocol
        with delivery.body:
            pass
        cast("Any", delivery.body.answer).close.assert_called_once_with()


async def test_the_request_may_still_be_on_its_way() -> None:
    """aiohttp's writer of the request waits for what the transport says of upstream's pace."""
    delivery = Delivery()
    task = await delivery.begin()
    taking = cast("asyncio.Protocol", delivery.transport.protocol)
    paused = []
    for note in (taking.pause_writing, taking.resume_writing):
        note()
        paused.append(delivery.protocol.writing_paused)
    assert paused == [True, False]
    taking.eof_received()
    task.cancel()
    await asyncio.wait({task})


async def test_a_coroutine_that_waits_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="waits"):
        at_once(asyncio.sleep(0))
