"""What a gateway does to streams: recorded answers are sent through it, and what comes out is judged.

Upstream gives each recorded answer as it was given: head, chunks, and a connection that breaks where it broke. The requests
are the recorded ones, but for the model's name and a word in the input by which upstream knows which answer is wanted. Nothing
here knows who is asked: what is said of a gateway follows from the bytes that came.
"""

from __future__ import annotations

import http.client
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.machine import ANSWERS, HERE
from tests.support.recordings import Recording, load_all
from tests.support.replay import lost_words
from vllm_sse_proxy import BodyEnd
from vllm_sse_proxy.families.responses.conformance import check_stream
from vllm_sse_proxy.families.responses.events import parse_event
from vllm_sse_proxy.families.responses.grammar import DONE_SENTINEL, TERMINAL
from vllm_sse_proxy.sse import FrameDecoder, encode_data, encode_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RECORDINGS: Final = HERE.parent / "tests" / "recordings"
MODEL: Final = "bench"

CONFORMING: Final = "conforming"
UNCHANGED: Final = "unchanged"
SAME_FAULTS: Final = "altered, the same faults"
OTHER_FAULTS: Final = "altered, other faults"
ERROR: Final = "ended by an error"
END_LOST: Final = "ended as if whole"
CUT: Final = "cut"
HANGS: Final = "hangs"
SERVER_ERROR: Final = "HTTP error"
REFUSED: Final = "request refused"
NO_ANSWER: Final = "no answer"
FATES: Final = {
    UNCHANGED: "the data of every event is what upstream sent, byte for byte, and the body ends as upstream's did",
    CONFORMING: "altered, and no rule is broken",
    SAME_FAULTS: "the rules that upstream broke are broken",
    OTHER_FAULTS: "not the same rules are broken",
    ERROR: "an error instead of a terminal event",
    END_LOST: "neither terminal event nor error, and the body ends as if all were said",
    CUT: "altered, neither terminal event nor error, and the body breaks off",
    SERVER_ERROR: "status 5xx",
    REFUSED: "status 4xx",
    NO_ANSWER: "the connection was closed without an answer",
    HANGS: "nothing came for 10 seconds",
}
"""What can become of a stream; the first that holds."""

ENDS: Final = ("ended", "cut")
"""How recorded streams are divided: vLLM sent a terminal event, or it did not."""

_OK: Final = 200
_SERVER_ERRORS: Final = 500
_ANSWER_SECONDS: Final = 10.0
"""How long a gateway may say nothing. Upstream has sent everything at once."""
_SENT_BY: Final = re.compile(rb".*?\n\n|.+", re.DOTALL)
_LAST_CHUNK: Final = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: status (0: none), body without its framing, whether that came to its end, whether nothing more was said."""

    status: int
    body: bytes
    whole: bool
    hung: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and the answer that upstream gives to it."""

    name: str
    request: dict[str, Any]
    upstream: Answer


def recorded() -> list[Exchange]:
    """Return the exchanges that were recorded from vLLM, as far as a gateway can be asked them.

    Left out are those whose answer depends on what came before (`background`, `previous_response_id`, resumed streams), which
    a gateway may keep itself, and those in which upstream fell silent.
    """
    return [
        Exchange(
            recording.name,
            recording.request,
            Answer(recording.status, recording.body, recording.known_end is BodyEnd.EOF),
        )
        for recording in load_all(RECORDINGS)
        if recording.request is not None and _stands_alone(recording)
    ]


def _stands_alone(recording: Recording) -> bool:
    request = recording.request or {}
    return (
        recording.is_response_stream
        and recording.method == "POST"
        and recording.known_end is not BodyEnd.IDLE_TIMEOUT
        and not request.get("background")
        and "previous_response_id" not in request
    )


def on_the_wire(answer: Answer) -> bytes:
    """Return the bytes of an HTTP answer as vLLM's server sends it: each event a chunk."""
    events = _SENT_BY.findall(answer.body)
    head = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    return head + b"transfer-encoding: chunked\r\n\r\n" + chunks + (_LAST_CHUNK if answer.whole else b"")


def asking_for(request: dict[str, Any], spec: str, *, storing: bool = False) -> dict[str, Any]:
    """Return a request that names the answer that is wanted of upstream.

    :param storing: leave `store` as it was recorded, which mostly is absent and means yes; else nothing is to be kept.
    """
    input_, word = request.get("input", ""), f"spec={spec}"
    marked = f"{word} {input_}" if isinstance(input_, str) else [{"role": "user", "content": word}, *input_]
    made = {**request, "model": MODEL, "input": marked, "stream": True}
    return made if storing else {**made, "store": False}


def ask(port: int, request: dict[str, Any]) -> Answer:
    """Send a request on a connection of its own; return what comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-bench"}
    status, body = 0, b""
    try:
        connection.request("POST", "/v1/responses", json.dumps(request), headers)
        answer = connection.getresponse()
        status = answer.status
        while piece := answer.read1(1 << 16):
            body += piece
    except TimeoutError:
        return Answer(status, body, whole=False, hung=True)
    except (OSError, http.client.HTTPException):
        return Answer(status, body, whole=False)
    else:
        return Answer(status, body, whole=True)
    finally:
        connection.close()


def payloads(stream: bytes) -> list[bytes]:
    """Return the data of all events. How they are framed, a client's decoder does not show."""
    return [frame.data for frame in FrameDecoder(max_frame_bytes=len(stream) + 1).feed(stream) if frame.data]


def ends(stream: bytes) -> bool:
    """Return whether a stream has a terminal event."""
    return any(_object(data).get("type") in TERMINAL for data in payloads(stream))


def faults(stream: bytes) -> set[str]:
    """Return the rules that the events of a stream break.

    How they are framed does not count, nor a missing `[DONE]`: a decoder shows neither to the program that reads the events.
    """
    return {violation.rule for violation in check_stream(_framed(payloads(stream)), require_done=False)}


def _framed(data: Iterable[bytes]) -> bytes:
    frames = []
    for each in data:
        type_ = _object(each).get("type")
        frames.append(encode_event(type_, each) if isinstance(type_, str) else encode_data(each))
    return b"".join(frames)


def _object(data: bytes) -> dict[str, Any]:
    """Return a payload as the object that it is; an empty one for any other."""
    return parse_event(data).body


def error_in(stream: bytes) -> str | None:
    """Return the first line of the last error that stands outside of a terminal event, if one is."""
    found = None
    for data in payloads(stream):
        body = _object(data)
        if body.get("type") in (None, "error") and isinstance(
            body.get("error", body.get("message")), dict | str
        ):
            error = body.get("error", body)
            found = str(error.get("message") if isinstance(error, dict) else error).partition("\n")[0]
    return found


def fate(upstream: Answer, received: Answer) -> str:
    """Return what became of a stream: one of FATES."""
    if received.hung:
        return HANGS
    if not (upstream.body or upstream.whole or received.body or received.whole):
        return UNCHANGED  # nothing, and a connection that breaks off: whether a head came first is chance
    if received.status != _OK:
        return (
            SERVER_ERROR if received.status >= _SERVER_ERRORS else REFUSED if received.status else NO_ANSWER
        )
    if payloads(received.body) == payloads(upstream.body) and received.whole == upstream.whole:
        return UNCHANGED
    if not ends(received.body):
        return ERROR if error_in(received.body) is not None else END_LOST if received.whole else CUT
    broken = faults(received.body)
    if not broken and received.whole:
        return CONFORMING
    return SAME_FAULTS if broken == faults(upstream.body) else OTHER_FAULTS


def sums(exchanges: Sequence[Exchange], received: Sequence[Answer]) -> dict[str, Any]:
    """Sum up what became of streams: how many met which fate, which lost words, which rules are broken in how many."""
    pairs = [(exchange.upstream, answer) for exchange, answer in zip(exchanges, received, strict=True)]
    answered = [(upstream, answer) for upstream, answer in pairs if answer.status == _OK]
    fates = Counter(fate(upstream, answer) for upstream, answer in pairs)
    rules = Counter(rule for _, answer in answered for rule in faults(answer.body))
    errors = Counter(error_in(answer.body) for _, answer in answered if not ends(answer.body))
    del errors[None]
    return {
        "fates": {name: fates[name] for name in FATES if fates[name]},
        "faultless": sum(not faults(answer.body) for _, answer in answered),
        "words_lost": sum(_words_lost(upstream, answer) for upstream, answer in answered),
        "rules": dict(rules.most_common()),
        "errors": dict(errors.most_common()),
    }


def _words_lost(upstream: Answer, received: Answer) -> bool:
    try:
        return bool(lost_words(upstream.body, received.body))
    except (KeyError, TypeError, AttributeError):  # an object that is none of the protocol's
        return True


def described(upstream: Answer, received: Answer) -> dict[str, Any]:
    """Describe what became of one stream: its fate, how many events there were and came, and what an error says."""
    before, after = (
        [data for data in payloads(answer.body) if data != DONE_SENTINEL] for answer in (upstream, received)
    )
    return {
        "fate": fate(upstream, received),
        "sent": len(before),
        "came": len(after),
        "rules_before": sorted(faults(upstream.body)),
        "rules_after": sorted(faults(received.body)),
        "error": None if ends(received.body) else error_in(received.body),
    }


class Judge:
    """Sends the same streams through one contender after the other, and says what became of them.

    :ivar sent: the recorded streams as upstream sends them, those that vLLM ended (`ended`) and those that broke off (`cut`)
        apart.
    """

    def __init__(self, upstream_port: int, synthetic: Iterable[str]) -> None:
        """Lay out the recorded streams for upstream, and look at its own, as it names them."""
        self._exchanges = recorded()
        for number, exchange in enumerate(self._exchanges):
            (ANSWERS / str(number)).write_bytes(on_the_wire(exchange.upstream))
        self._own = [(spec, ask(upstream_port, asking_for({}, spec))) for spec in synthetic]
        self.sent = _by_end(self._exchanges, [exchange.upstream for exchange in self._exchanges])

    def received_from(self, port: int) -> dict[str, Any]:
        """Return what becomes of streams through the server at a port: its own one by one, the recorded summed up."""
        received: dict[str, Any] = {
            "synthetic": {
                spec: described(upstream, ask(port, asking_for({}, spec))) for spec, upstream in self._own
            }
        }
        # A gateway that stores answers reads them more closely. It can store each one once: its ids are the recorded ones.
        for manner, storing in (("plain", False), ("storing", True)):
            requests = (
                asking_for(exchange.request, f"file-ok-{number}", storing=storing)
                for number, exchange in enumerate(self._exchanges)
            )
            received[manner] = _by_end(self._exchanges, [ask(port, request) for request in requests])
        return received


def _by_end(exchanges: Sequence[Exchange], received: Sequence[Answer]) -> dict[str, Any]:
    groups: dict[str, list[tuple[Exchange, Answer]]] = {end: [] for end in ENDS}
    for exchange, answer in zip(exchanges, received, strict=True):
        groups["ended" if ends(exchange.upstream.body) else "cut"].append((exchange, answer))
    return {
        end: {"count": len(pairs), **sums([one for one, _ in pairs], [answer for _, answer in pairs])}
        for end, pairs in groups.items()
    }
