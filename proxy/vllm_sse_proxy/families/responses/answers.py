"""Response objects that are answered as JSON: what the final object of their stream would be.

Theory of operation. ``POST /v1/responses`` without a stream, and ``GET /v1/responses/{id}``, answer with the object that a
stream's terminal event carries. A client that uses both, or a ``previous_response_id``, must not meet two truths. So nothing
is repaired here: the object is played as the stream that ends with it. Its items are announced and closed one after the
other (:func:`.construct.life_of_item`), the terminal event carries upstream's own object, and what comes out of the normalizer
in that event is the answer.

Two things are different where there is no event. A ``sequence_number`` inside an item goes, since there is no number to take;
and a cancelled response keeps the ``error`` that upstream gave it, since no event has to say ``failed`` for it.

An object of a response that goes on (``queued``, ``in_progress``) is played as the event that opens a stream, and stays as far
as it was. What is not understood stays what it is: see :func:`repaired_answer`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses import construct, grammar, item_fields
from vllm_sse_proxy.families.responses.events import is_typed_object
from vllm_sse_proxy.families.responses.settings import NestedNumbers
from vllm_sse_proxy.sse import encode_event
from vllm_sse_proxy.stream.event import Event, dump_json
from vllm_sse_proxy.stream.normalizer import StreamNormalizer
from vllm_sse_proxy.stream.payload import is_too_deep, read_strictly
from vllm_sse_proxy.stream.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.tally import Tally

MAX_PIECES: Final = 1000
"""Items, parts and annotations of one answer. Each is a handful of events, made in one call that holds all streams up."""
_GOES_ON: Final = frozenset({"queued", "in_progress"})
_CANCELLED: Final = "cancelled"
_PARTS: Final = ("content", "summary")
_DATA: Final = b"\ndata: "


@dataclass(frozen=True, slots=True)
class RepairedAnswer:
    """An answer, and what it needed.

    :ivar body: the JSON for the client; upstream's own bytes if nothing was wrong with them.
    :ivar repairs: names of the repairs that the answer needed, each with 1: how many of the played events show one mistake
        says nothing. Empty for upstream's own bytes.
    :ivar failures: names of the repairs that raised, likewise.
    """

    body: bytes
    repairs: dict[str, int]
    failures: dict[str, int]


def answer_plan(plan: Plan) -> Plan:
    """Return the plan for answers of a process that repairs its streams by ``plan``: the same repairs and switches."""
    settings: Any = plan.settings  # the family's own
    played = replace(settings, nested_numbers=NestedNumbers.REMOVE, observe=False, done_sentinel=False)
    return Plan(plan.family, played, plan.disabled)


def repaired_answer(raw: bytes, plan: Plan, request: RequestContext) -> RepairedAnswer | None:
    """Return what the client gets instead of an answer; None for one that stays what it is. Never raises.

    Those are: whatever is not a response object (an error, another API's object, text), a response whose output has something
    other than items, one that goes on and has items already, and one that exceeds a limit (``max_frame_bytes``,
    ``max_text_bytes`` or :data:`MAX_PIECES`).

    :param raw: upstream's body.
    :param plan: of :func:`answer_plan`.
    :param request: what is known of the request.
    """
    response = _response_in(raw)
    if response is None:
        return None
    normalizer = StreamNormalizer(plan, request)
    frame = normalizer.feed(_opening(response))
    if response["status"] not in _GOES_ON:
        # What is wrong with these is wrong with the terminal event, and counted there.
        normalizer.feed(_frame(construct.opening(grammar.IN_PROGRESS, response)))
        normalizer.tally.repairs.clear()
        for event in _life(response):
            normalizer.feed(_frame(event))
        type_ = grammar.TERMINAL_OF_STATUS[response["status"]]
        frame = normalizer.feed(_frame(Event(type_, {"type": type_, "response": response})))
    if normalizer.limit is not None or not frame:
        return None
    return _made(raw, response, frame, normalizer.tally)


def _response_in(raw: bytes) -> Body | None:
    """Return the response object in an answer, if it can be played."""
    try:
        response = read_strictly(raw)
    except (ValueError, RecursionError):
        return None
    if type(response) is not dict or is_too_deep(raw, response) or not _is_response(response):
        return None
    output: list[Any] = response["output"]
    if len(output) > MAX_PIECES or not all(map(is_typed_object, output)):
        return None
    if response["status"] in _GOES_ON:
        return None if output else response
    return response if sum(map(_pieces_of, output)) <= MAX_PIECES else None


def _is_response(response: Body) -> bool:
    """Return whether an object is a response whose status says whether it is over."""
    id_, status = response.get("id"), response.get("status")
    return (
        response.get("object", "response") == "response"
        and type(id_) is str
        and id_ != ""
        and type(status) is str
        and (status in _GOES_ON or status in grammar.TERMINAL_OF_STATUS)
        and type(response.get("output")) is list
    )


def _pieces_of(item: Body) -> int:
    pieces = 1
    for name in _PARTS:
        parts = item.get(name)
        if type(parts) is list:
            pieces += len(parts)
            for part in parts:
                annotations = part.get("annotations") if type(part) is dict else None
                pieces += len(annotations) if type(annotations) is list else 0
    return pieces


def _opening(response: Body) -> bytes:
    """Return the frame that opens the stream, with a response that is as far as it can be by then."""
    if response["status"] in _GOES_ON:
        return _frame(Event(grammar.CREATED, {"type": grammar.CREATED, "response": response}))
    return _frame(construct.opening(grammar.CREATED, response))


def _life(response: Body) -> Iterator[Event]:
    """Yield the events of all items; each is closed with what upstream has of it.

    vLLM does not say of reasoning whether it is closed, and its streams leave it open only where nothing comes after it. What
    becomes of it then the terminal event shows.
    """
    output: list[Body] = response["output"]
    for index, item in enumerate(output):
        is_unsaid = _has_unsaid_status(item)
        played = {**item, "status": item_fields.IN_PROGRESS} if is_unsaid else item
        life = construct.life_of_item(index, played)
        yield from life[:-1]
        if not is_unsaid:
            yield life[-1].having(item=item)
        elif index + 1 < len(output):
            yield life[-1].having(item={**item, "status": item_fields.COMPLETED})


def _has_unsaid_status(item: Body) -> bool:
    """Return whether an item is vLLM's reasoning, whose status is null; OpenAI's has no status at all."""
    return item["type"] == grammar.REASONING.type and item.get("status", "") is None


def _frame(event: Event) -> bytes:
    return encode_event(event.type, dump_json(event.body))


def _made(raw: bytes, response: Body, frame: bytes, tally: Tally) -> RepairedAnswer:
    """Return the answer that the frame of an event carries."""
    made: Body = read_strictly(frame.rpartition(_DATA)[2])["response"]
    if response["status"] == _CANCELLED and response.get("error") is None:
        made["error"] = None
    is_unchanged = not tally.repairs or _canonical(made) == _canonical(response)
    repairs = {} if is_unchanged else dict.fromkeys(tally.repairs, 1)
    return RepairedAnswer(
        raw if is_unchanged else dump_json(made), repairs, dict.fromkeys(tally.repair_failures, 1)
    )


def _canonical(value: Body) -> bytes:
    """Return bytes that are equal for objects with the same members, in whatever order."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer over 64 bits
        return dump_json(value)
