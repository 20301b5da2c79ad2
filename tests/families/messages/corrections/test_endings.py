"""How messages end: signatures, held stops, cut calls, reasons, counts, and what upstream did not finish."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.messages import REQUEST, STRICT, USAGE, passes, repaired, run, short, wire
from vllm_sse_proxy import BodyEnd, StreamNormalizer
from vllm_sse_proxy.stream.ending import Ending

TEXT = """
    start
    text 0
    text+ 0 Hi
    stop 0
"""
CALL = """
    start
    call 0 toolu_1 look
    input+ 0 {"a": 1}
    stop 0
"""
CUT = """
    start
    call 0 toolu_1 look
    input+ 0 {"a":
    stop 0
"""
ERROR = "error api_error Words."

# --------------------------------------------------------------------------------------------------------- thinking_signatures


def test_thinking_gets_a_signature_that_says_whose_it_is() -> None:
    text = "start\nthink 0\nthink+ 0 Hm\nstop 0\ntext 1\ntext+ 1 Hi\nstop 1\nend end_turn\nover"
    lines, counts = repaired(text)
    assert lines[:3] + lines[4:] == short(text)
    assert lines[3].startswith("sign 0 vllm-sse-proxy:")
    assert counts == {"thinking_signatures": 1}
    assert repaired(text, disabled=["thinking_signatures"]) == (short(text), {})


def test_the_signature_is_the_same_for_every_replay_and_another_for_every_block() -> None:
    text = "start\nthink 0\nthink+ 0 Hm\nstop 0\nthink 1\nthink+ 1 Hm\nstop 1\nend end_turn\nover"
    lines, _ = repaired(text)
    signatures = [line.split()[2] for line in lines if line.startswith("sign")]
    assert len(set(signatures)) == 2
    assert repaired(text)[0] == lines


@pytest.mark.parametrize(
    "middle",
    ["sign 0 a\nsign 0 b\nthink+ 0 Hm", "sign 0 a\nthink+ 0 Hm\nsign 0 b", "think+ 0 Hm\nsign 0 a\nsign 0 b"],
)
def test_one_signature_is_the_last_delta(middle: str) -> None:
    lines, counts = repaired(
        f"start\nthink 0\n{middle}\nstop 0\ntext 1\ntext+ 1 Hi\nstop 1\nend end_turn\nover"
    )
    assert lines[1:5] == ["think 0", "think+ 0 Hm", "sign 0 b", "stop 0"]
    assert counts["thinking_signatures"] >= 1


# ------------------------------------------------------------------------------------------------------------------ held_stops


def test_an_error_leaves_the_block_open() -> None:
    """A19: vLLM 0.33 stops the block first, and Claude Code takes the cut text for the answer."""
    lines, counts = repaired(TEXT + ERROR)
    assert lines == ["start", "text 0", "text+ 0 Hi", ERROR]
    assert counts == {"held_stops": 1}
    assert repaired(TEXT + ERROR, disabled=["held_stops"]) == ([*short(TEXT), ERROR], {})


def test_so_does_the_end_of_the_body() -> None:
    lines, counts = repaired(TEXT, end=BodyEnd.CUT)
    assert lines[:-1] == ["start", "text 0", "text+ 0 Hi"]
    assert lines[-1].startswith("error api_error The connection to the upstream server broke")
    assert counts == {"held_stops": 1, "message_closings": 1}


def test_a_second_signature_behind_one_that_a_heartbeat_released_is_dropped() -> None:
    begun = "start\nthink 0\nthink+ 0 Hm\nsign 0 s\nping\n"
    lines, counts = repaired(f"{begun}sign 0 t\nstop 0\nend end_turn\nover")
    assert lines == short(f"{begun}stop 0\nend end_turn\nover")
    assert counts == {"thinking_signatures": 1}


def test_a_signature_waits_with_its_stop() -> None:
    lines, _ = repaired(f"start\nthink 0\nthink+ 0 Hm\nsign 0 s\nstop 0\n{ERROR}")
    assert lines == ["start", "think 0", "think+ 0 Hm", ERROR]


@pytest.mark.parametrize("heartbeat", ["ping", ": ping", '{"type":"vendor.event"}'])
def test_a_heartbeat_releases_a_stop(heartbeat: str) -> None:
    """The stop is sent with the heartbeat, not with whatever comes after it."""
    normalizer = StreamNormalizer(STRICT)
    assert normalizer.feed(wire(TEXT)) == wire(TEXT.replace("stop 0", ""))
    assert normalizer.feed(wire(heartbeat)) == wire("stop 0\n" + heartbeat)


def test_a_heartbeat_does_not_release_the_stop_of_a_cut_call() -> None:
    lines, _ = repaired(f"{CUT}\nping\n: ping\nend tool_use\nover")
    assert lines[3:5] == ["ping", ": ping"]
    assert lines[5].startswith("error api_error ")
    lines, counts = repaired(f"{CUT}\nping\nend max_tokens\nover")
    assert lines[3:] == ["ping", "stop 0", "end max_tokens", "over"]
    assert counts == {}


# ------------------------------------------------------------------------------------------------------------------- cut_calls


@pytest.mark.parametrize("reason", ["tool_use", "end_turn", "stop_sequence 4711", "pause_turn"])
@pytest.mark.parametrize(
    "pieces",
    ['{"a":', "{", '{"a": "b', '{"a": 1', '{"a": [1, {"b": tru', '{"a": 1,', '"half'],
)
def test_a_cut_call_ends_as_an_error(reason: str, pieces: str) -> None:
    """A16, C37, C46: every client runs it with `{}`."""
    text = f"start\ncall 0 toolu_1 look\ninput+ 0 {pieces}\nstop 0\nend {reason}\nover"
    lines, counts = repaired(text)
    assert lines[:3] == short(text)[:3]
    assert lines[3].startswith("error api_error ")
    assert len(lines) == 4
    assert counts == {"cut_calls": 1}


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
def test_a_call_that_a_limit_cut_passes(reason: str) -> None:
    passes(f"{CUT}\nend {reason}\nover")


def test_a_cut_call_before_another_block_is_an_error_whatever_the_reason() -> None:
    lines, counts = repaired(f"{CUT}\ntext 1\ntext+ 1 Hi\nstop 1\nend max_tokens\nover")
    assert lines[3].startswith("error api_error ")
    assert counts["cut_calls"] == 1


@pytest.mark.parametrize(("name", "is_cut"), [("look", True), ("list", False), ("unknown", False)])
def test_no_input_is_cut_where_the_tool_requires_some(name: str, *, is_cut: bool) -> None:
    """A07, C38."""
    text = f"start\ncall 0 toolu_1 {name}\nstop 0\nend tool_use\nover"
    lines, counts = repaired(text, request=REQUEST)
    assert counts == ({"cut_calls": 1} if is_cut else {})
    assert (lines == short(text)) is not is_cut


LOST: dict[str, Any] = {**REQUEST, "max_tokens": 50}


@pytest.mark.parametrize(
    "pieces",
    ['{"a": "b"', '{"a": true', '{"a": {"b": 1}', '{"a": [1]', '{"a": null ', '{"a": "line~"'],
)
def test_a_last_brace_that_a_parser_lost_is_restored(pieces: str) -> None:
    """C46: the model ended by itself, and has said all that the tool requires."""
    text = f"start\ncall 0 toolu_1 look\ninput+ 0 {pieces}\nstop 0\nend tool_use\nover"
    lines, counts = repaired(text, request=LOST)
    assert lines == [*short(text)[:3], "input+ 0 }", *short(text)[3:]]
    assert counts == {"call_inputs": 1}
    assert repaired(text, request=LOST, disabled=["call_inputs"])[1] == {"cut_calls": 1}


@pytest.mark.parametrize(
    ("pieces", "end", "changes"),
    [
        ('{"a": 1', "tool_use", {}),  # a number may go on
        ('{"a": ', "tool_use", {}),
        ('{"a": "b', "tool_use", {}),
        ('{"a": "b",', "tool_use", {}),
        ('{"a": [{"b": "c"}', "tool_use", {}),
        ('{"b": "c"', "tool_use", {}),  # what the tool requires is not there
        ('["a", {"a": "b"', "tool_use", {}),
        ('{"a": "b", "c": {"a": "b"}', "tool_use", {}),  # what 0.17 says again is not a value
        ('{"a": "b"', "stop_sequence X", {}),
        ('{"a": "b"', "tool_use", {"stop_sequences": ["X"]}),
        ('{"a": "b"', "tool_use", {"max_tokens": 5}),
        ('{"a": "b"', "tool_use", {"max_tokens": None}),
        ('{"a": "b"', "tool_use", {"tools": []}),
    ],
)
def test_where_more_may_be_lost_it_is_not(pieces: str, end: str, changes: dict[str, Any]) -> None:
    text = f"start\ncall 0 toolu_1 look\ninput+ 0 {pieces}\nstop 0\nend {end}\nover"
    lines, counts = repaired(text, request={**LOST, **changes})
    assert lines[3].startswith("error api_error ")
    assert counts == {"cut_calls": 1}


def test_the_brace_of_a_call_before_another_block_is_not_restored() -> None:
    text = 'start\ncall 0 x look\ninput+ 0 {"a": "b"\nstop 0\ncall 1 y list\nstop 1\nend tool_use\nover'
    assert repaired(text, request=LOST)[1] == {"cut_calls": 1}


def test_an_input_too_deep_to_read_is_not_restored() -> None:
    deep = "[" * 20_000 + "]" * 20_000
    _, normalizer = run(
        wire(f'start\ncall 0 x look\ninput+ 0 {{"a": {deep}\nstop 0\nend tool_use\nover'), request=LOST
    )
    assert normalizer.tally.repairs == {"cut_calls": 1}


def test_nonsense_of_the_models_own_passes() -> None:
    for pieces in ("}", '{"a" 1}', "nonsense"):
        text = f"start\ncall 0 toolu_1 look\ninput+ 0 {pieces}\nstop 0\nend tool_use\nover"
        lines, counts = repaired(text, disabled=["held_stops"])
        assert lines == short(text)
        assert counts == {}


def test_a_call_that_upstream_did_not_stop_is_cut_too() -> None:
    lines, counts = repaired('start\ncall 0 toolu_1 look\ninput+ 0 {"a":\nend tool_use\nover')
    assert lines[3].startswith("error api_error ")
    assert counts == {"cut_calls": 1}


def test_switched_off_it_passes() -> None:
    text = f"{CUT}\nend tool_use\nover"
    assert repaired(text, disabled=["cut_calls"]) == (short(text), {})


@pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT, BodyEnd.RESET, BodyEnd.IDLE_TIMEOUT])
@pytest.mark.parametrize("cut", range(1, 5))
def test_a_call_that_the_body_left_open_is_never_stopped(cut: int, end: BodyEnd) -> None:
    lines, _ = repaired("\n".join(short(CUT)[:cut]), end=end)
    assert not any(line.startswith("stop") for line in lines)
    assert lines[-1].startswith("error ")


# ---------------------------------------------------------------------------------------------------------------- stop_reasons


@pytest.mark.parametrize(
    ("blocks", "said", "meant"),
    [
        (CALL, "end_turn", "tool_use"),  # A12
        (CALL, "stop", "tool_use"),
        (TEXT, "tool_use", "end_turn"),  # A13
        (TEXT, "stop", "end_turn"),
        (TEXT, "length", "max_tokens"),
        (CALL, "tool_calls", "tool_use"),
        (TEXT, "content_filter", "refusal"),
        (TEXT, "end_turn END", "stop_sequence END"),
        (CALL, "tool_use END", "tool_use"),
        (TEXT, "max_tokens END", "max_tokens"),
    ],
)
def test_reasons_are_true(blocks: str, said: str, meant: str) -> None:
    lines, counts = repaired(f"{blocks}\nend {said}\nover")
    assert lines == [*short(blocks), f"end {meant}", "over"]
    assert counts == {"stop_reasons": 1}
    assert repaired(f"{blocks}\nend {said}\nover", disabled=["stop_reasons"])[1] == {}


@pytest.mark.parametrize(
    "end", ["end max_tokens", "end stop_sequence END", "end refusal", "end pause_turn", "end end_turn"]
)
def test_true_reasons_stay(end: str) -> None:
    passes(f"{TEXT}\n{end}\nover")


@pytest.mark.parametrize("end", ["end max_tokens", "end stop_sequence END", "end tool_use"])
def test_true_reasons_of_calls_stay(end: str) -> None:
    passes(f"{CALL}\n{end}\nover")


def result(**delta: object) -> str:
    return json.dumps({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}})


def test_a_missing_stop_sequence_is_null() -> None:
    """A14."""
    lines, counts = repaired(f"{TEXT}\n{result(stop_reason='end_turn')}\nover")
    assert json.loads(lines[4])["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert counts == {"stop_reasons": 1}


def test_the_one_stop_sequence_of_the_request_is_named() -> None:
    text = f"{TEXT}\n{result(stop_reason='stop_sequence', stop_sequence=None)}\nover"
    lines, _ = repaired(text, request={"stop_sequences": ["END"]})
    assert json.loads(lines[4])["delta"]["stop_sequence"] == "END"
    made, normalizer = run(wire(text), request={"stop_sequences": ["A", "B"]})
    assert b'"stop_sequence":null' in made
    assert normalizer.tally.repairs == {}


@pytest.mark.parametrize("reason", [None, "abort", "error", "", 7, {}])
@pytest.mark.parametrize("blocks", [TEXT, CALL, CUT])
def test_an_aborted_message_is_an_error(reason: object, blocks: str) -> None:
    """A17: the engine was paused, put to sleep or scaled down."""
    lines, counts = repaired(f"{blocks}\n{result(stop_reason=reason, stop_sequence=None)}\nover")
    assert lines[:-1] == short(blocks)[:3]
    assert lines[-1].startswith("error overloaded_error ")
    assert counts == {"stop_reasons": 1, "held_stops": 1}


@pytest.mark.parametrize("blocks", ["start", "start\ntext 0\ntext+ 0 _~\nstop 0"])
def test_a_lost_call_without_any_answer_is_an_error(blocks: str) -> None:
    lines, counts = repaired(f"{blocks}\nend tool_use\nover")
    assert lines == [*(line for line in short(blocks) if line != "stop 0"), lines[-1]]
    assert lines[-1].startswith("error api_error ")
    assert counts["stop_reasons"] == 1


def test_thinking_alone_is_no_answer() -> None:
    lines, _ = repaired("start\nthink 0\nthink+ 0 Hm\nsign 0 s\nstop 0\nend tool_use\nover")
    assert lines[-1].startswith("error api_error ")


# ---------------------------------------------------------------------------------------------------------------- usage_counts


@pytest.mark.parametrize(
    ("usage", "becomes"),
    [
        (None, {"output_tokens": 0}),
        ({}, {"output_tokens": 0}),
        ({"output_tokens": None, "input_tokens": 9}, {"output_tokens": 0, "input_tokens": 9}),
        ({"input_tokens": 0, "output_tokens": 5}, {"input_tokens": 9, "output_tokens": 5}),
        (
            {"output_tokens": 5, "cache_read_input_tokens": "x"},
            {"output_tokens": 5, "cache_read_input_tokens": None},
        ),
        ({"output_tokens": 5, "input_tokens": -1}, {"output_tokens": 5, "input_tokens": 9}),
        ({"output_tokens": 2**63, "input_tokens": 2**70}, {"output_tokens": 0, "input_tokens": 9}),
    ],
)
def test_counts_are_there_and_do_not_fall(usage: object, becomes: object) -> None:
    event = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": usage,
    }
    lines, counts = repaired(f"{TEXT}\n{json.dumps(event)}\nover")
    assert becomes == (USAGE if lines[4] == "end end_turn" else json.loads(lines[4])["usage"])
    assert counts == {"usage_counts": 1}
    assert repaired(f"{TEXT}\n{json.dumps(event)}\nover", disabled=["usage_counts"])[1] == {}


# ------------------------------------------------------------------------------------------------------------ message_closings


@pytest.mark.parametrize(
    ("end", "type_"),
    [
        (BodyEnd.EOF, "api_error"),
        (BodyEnd.CUT, "api_error"),
        (BodyEnd.RESET, "api_error"),
        (BodyEnd.IDLE_TIMEOUT, "timeout_error"),
        (BodyEnd.SHUTDOWN, "overloaded_error"),
        (BodyEnd.LIMIT, "api_error"),
    ],
)
def test_what_upstream_did_not_finish_is_an_error(end: BodyEnd, type_: str) -> None:
    """A22."""
    text = "start\ntext 0\ntext+ 0 Hi"
    made, normalizer = run(wire(text), end=end)
    assert made.startswith(wire(text))
    assert f'{{"type":"error","error":{{"type":"{type_}"'.encode() in made
    assert normalizer.ending == (Ending.TRUNCATED if end is BodyEnd.EOF else Ending(end.value))
    made, normalizer = run(wire(text), end=end, disabled=["message_closings"])
    assert made == wire(text)


def test_done_is_no_end() -> None:
    """A02: to 0.18 vLLM sends it, and behind a stream of its own that was cut it is all that comes."""
    lines, counts = repaired("start\ntext 0\ntext+ 0 Hi\ndata: [DONE]")
    assert lines[3].startswith("error api_error ")
    assert counts == {"message_closings": 1}
    made, _ = run(wire(f"{TEXT}\nend end_turn\nover\ndata: [DONE]"))
    assert made == wire(f"{TEXT}\nend end_turn\nover")
    made, _ = run([wire(f"{TEXT}\ndata: [DONE]"), wire("end end_turn\nover\ndata: [DONE]")])
    assert made == wire(f"{TEXT}\nend end_turn\nover")


def test_a_stop_without_a_reason_is_an_error() -> None:
    lines, counts = repaired(f"{TEXT}\nover")
    assert lines[:-1] == short(TEXT)[:3]
    assert lines[-1].startswith("error api_error ")
    assert counts == {"message_closings": 1, "held_stops": 1}
    assert repaired(f"{TEXT}\nover", disabled=["message_closings"])[0][-1] == "over"


@pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT])
@pytest.mark.parametrize("reason", ["end_turn", "max_tokens"])
def test_a_stop_that_is_missing_behind_the_reason_is_inserted(end: BodyEnd, reason: str) -> None:
    text = f"{TEXT}\nend {reason}"
    lines, counts = repaired(text, end=end)
    assert lines == [*short(text), "over"]
    assert counts == {"message_closings": 1}


def test_an_error_behind_the_reason_stays() -> None:
    passes(f"{TEXT}\nend end_turn\n{ERROR}")


def test_nothing_follows_the_end() -> None:
    lines, counts = repaired(f"{TEXT}\nend end_turn\nover\nping\nstart\n{ERROR}\nover")
    assert lines == [*short(TEXT), "end end_turn", "over"]
    assert counts == {}


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        (f"{TEXT}\nend end_turn\nover", Ending.COMPLETED),
        (f"{TEXT}\nend max_tokens\nover", Ending.INCOMPLETE),
        (f"{TEXT}\n{ERROR}", Ending.UPSTREAM_ERROR),
        (f"{TEXT}\nend end_turn", Ending.UNTERMINATED),
        (f"{TEXT}\nend max_tokens", Ending.INCOMPLETE),
        (f"{CUT}\nend tool_use", Ending.FAILED),
    ],
)
def test_endings(text: str, ending: Ending) -> None:
    assert run(wire(text))[1].ending is ending
