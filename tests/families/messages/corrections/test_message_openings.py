"""A01, A06, A20: `message_start` without its members, not there, or there twice."""

from __future__ import annotations

import json

import pytest

from tests.support.messages import MESSAGE, passes, repaired, run, short, wire
from vllm_sse_proxy.stream.ending import Ending

REST = """
    text 0
    text+ 0 Hi
    stop 0
    end end_turn
    over
"""


def start(**message: object) -> str:
    return json.dumps({"type": "message_start", "message": message})


@pytest.mark.parametrize(
    "missing",
    [
        ("type", "role"),
        ("type", "role", "usage", "stop_reason", "stop_sequence"),
        ("usage",),
        ("content",),
    ],
    ids=["0.20", "0.12", "usage", "content"],
)
def test_missing_members_are_filled(missing: tuple[str, ...]) -> None:
    given = {name: value for name, value in MESSAGE.items() if name not in missing}
    lines, counts = repaired(start(**given) + REST)
    whole = json.loads(lines[0]) if lines[0] != "start" else {"message": MESSAGE}
    assert whole["message"] == {
        **MESSAGE,
        "usage": MESSAGE["usage"] if "usage" not in missing else {"input_tokens": 0, "output_tokens": 0},
    }
    assert lines[1:] == short(REST)
    assert counts == {"message_openings": 1}


@pytest.mark.parametrize(
    ("member", "value", "becomes"),
    [
        ("id", None, "msg_"),
        ("id", "", "msg_"),
        ("model", 3, "asked"),
        ("role", "user", "assistant"),
        ("content", None, []),
        ("stop_reason", "end_turn", None),
        ("usage", {"input_tokens": 3, "output_tokens": False}, {"input_tokens": 3, "output_tokens": 0}),
        (
            "usage",
            {"input_tokens": None, "cache_read_input_tokens": "2"},
            {"input_tokens": 0, "cache_read_input_tokens": None, "output_tokens": 0},
        ),
    ],
)
def test_members_of_another_kind_are_replaced(member: str, value: object, becomes: object) -> None:
    lines, counts = repaired(start(**{**MESSAGE, member: value}) + REST, request={"model": "asked"})
    message = json.loads(lines[0])["message"] if lines[0] != "start" else MESSAGE
    if becomes == "msg_":
        assert message[member].startswith("msg_")
    else:
        assert message[member] == becomes
    assert counts == {"message_openings": 1}


def test_members_of_upstreams_own_stay() -> None:
    passes(start(**MESSAGE, vllm={"a": 1}) + REST)
    passes(
        start(**{**MESSAGE, "usage": {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard"}})
        + REST
    )


def test_no_message_at_all_is_one() -> None:
    lines, counts = repaired('{"type":"message_start"}' + REST)
    assert json.loads(lines[0])["message"]["id"].startswith("msg_")
    assert counts == {"message_openings": 1}


def test_a_message_that_begins_again_in_a_call_is_an_error() -> None:
    """What follows is not the rest of the call: its input would be no JSON, and the call would come twice."""
    begun = """
        start
        call 0 toolu_1 look
        input+ 0 {"a":
    """
    lines, counts = repaired(begun + begun + "input+ 0 1}\nstop 0\nend tool_use\nover")
    assert lines[:-1] == short(begun)
    assert lines[-1].startswith("error api_error")
    assert counts == {"message_openings": 1, "cut_calls": 1}


def test_a_second_start_is_dropped() -> None:
    lines, counts = repaired("start\nstart" + REST)
    assert lines == ["start", *short(REST)]
    assert counts == {"message_openings": 1}


def test_blocks_without_a_start_get_one() -> None:
    lines, counts = repaired(REST, request={"model": "asked"})
    message = json.loads(lines[0])["message"]
    assert message == {
        **MESSAGE,
        "id": message["id"],
        "model": "asked",
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    assert lines[1:] == short(REST)
    assert counts == {"message_openings": 1}


def test_pings_before_the_start_are_dropped() -> None:
    lines, counts = repaired("ping\nstart\nping" + REST)
    assert lines == ["start", "ping", *short(REST)]
    assert counts == {"message_openings": 1}


@pytest.mark.parametrize("end", ["over", "end end_turn\nover", "data: [DONE]", ""])
def test_a_message_that_never_began_is_an_error(end: str) -> None:
    """A20: vLLM to 0.31 sends only the end where its own stream was empty."""
    made, normalizer = run(wire(end))
    assert b"message_s" not in made
    assert not normalizer.committed
    assert normalizer.failure is not None
    assert normalizer.failure.status >= 500
    assert normalizer.ending in (Ending.FAILED, Ending.EMPTY)


def test_switched_off_it_changes_nothing() -> None:
    stream = start(id="x", content=[]) + "\n" + start(id="y", content=[]) + "\nping" + REST
    lines, counts = repaired(stream, disabled=["message_openings"])
    assert (
        repaired('{"type":"message_start"}\nping', disabled=["message_openings", "message_closings"])[1] == {}
    )
    assert [json.loads(line)["message"]["id"] for line in lines[:2]] == ["x", "y"]
    assert counts == {}
