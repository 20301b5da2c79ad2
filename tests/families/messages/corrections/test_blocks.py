"""Kinds, indexes and closings of blocks: one is open at a time, each delta fits it (A10, A11)."""

from __future__ import annotations

import json

import pytest

from tests.support.messages import passes, repaired, run, short, wire

BAD_INDEX = """
    start
    think 3
    think+ 3 Hm
    sign 3 s
    stop 3
    text 7
    text+ 7 Hi
    stop 7
    end end_turn
    over
"""


def test_a_conforming_stream_leaves_as_it_came() -> None:
    passes("""
        start
        ping
        think 0
        think+ 0 Hm
        think+ 0 ,_well
        sign 0 abc
        stop 0
        text 1
        text+ 1 Hi
        {"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"type":"x"}}}
        stop 1
        call 2 toolu_1 look
        input+ 2 {"a":
        input+ 2 1}
        stop 2
        : keep-alive
        call 3 toolu_2 list
        stop 3
        end tool_use
        over
    """)


def test_blocks_that_come_whole_pass() -> None:
    passes("""
        start
        {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}
        input+ 0 {"query": "x"}
        stop 0
        {"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"s","content":[]}}
        stop 1
        {"type":"content_block_start","index":2,"content_block":{"type":"redacted_thinking","data":"x"}}
        stop 2
        text 3
        text+ 3 Hi
        stop 3
        end end_turn
        over
    """)


def test_blocks_are_numbered_as_they_start() -> None:
    lines, counts = repaired(BAD_INDEX)
    assert lines == short(BAD_INDEX.replace(" 3", " 0").replace(" 7", " 1"))
    assert counts == {"block_indexes": 7}


@pytest.mark.parametrize("index", ["null", '"0"', "true", "-1", "0.0", '{"a":1}', "[1]"])
def test_indexes_of_another_kind_are_replaced(index: str) -> None:
    lines, counts = repaired(f"""
        start
        {{"type":"content_block_start","index":{index},"content_block":{{"type":"text","text":""}}}}
        {{"type":"content_block_delta","index":{index},"delta":{{"type":"text_delta","text":"Hi"}}}}
        {{"type":"content_block_stop","index":{index}}}
        end end_turn
        over
    """)
    assert lines[1:4] == ["text 0", "text+ 0 Hi", "stop 0"]
    assert counts == {"block_indexes": 3}


def test_switched_off_indexes_stay() -> None:
    lines, counts = repaired(BAD_INDEX, disabled=["block_indexes"])
    assert lines == short(BAD_INDEX)
    assert counts == {}


def test_text_behind_a_whole_call_gets_a_block_of_its_own() -> None:
    """A10: vLLM to 0.16 sends it below the index of the call."""
    lines, counts = repaired("""
        start
        call 0 toolu_1 look
        input+ 0 {"a": 1}
        text+ 0 Done.
        stop 0
        end tool_use
        over
    """)
    assert lines == short("""
        start
        call 0 toolu_1 look
        input+ 0 {"a": 1}
        stop 0
        text 1
        text+ 1 Done.
        stop 1
        end tool_use
        over
    """)
    assert counts == {"block_kinds": 1, "block_closings": 1, "block_indexes": 2}


INSIDE = """
    start
    call 0 toolu_1 look
    input+ 0 {"a":
    text+ 0 Now
    text+ 0 _this.
    input+ 0 1}
    stop 0
    end tool_use
    over
"""


def test_text_inside_a_call_waits_for_its_end() -> None:
    lines, counts = repaired(INSIDE)
    assert lines == short("""
        start
        call 0 toolu_1 look
        input+ 0 {"a":
        input+ 0 1}
        stop 0
        text 1
        text+ 1 Now
        text+ 1 _this.
        stop 1
        end tool_use
        over
    """)
    assert counts["block_kinds"] == 1


def test_switched_off_it_stays_in_the_call() -> None:
    lines, counts = repaired(INSIDE, disabled=["block_kinds"])
    assert lines == short(INSIDE)
    assert counts == {}


def test_two_blocks_that_are_open_at_once_come_one_after_the_other() -> None:
    lines, _ = repaired("""
        start
        call 0 toolu_1 look
        input+ 0 {"a":
        call 1 toolu_2 look
        input+ 1 {"a":
        input+ 0 1}
        input+ 1 2}
        stop 0
        stop 1
        end tool_use
        over
    """)
    assert lines == short("""
        start
        call 0 toolu_1 look
        input+ 0 {"a":
        input+ 0 1}
        stop 0
        call 1 toolu_2 look
        input+ 1 {"a":
        input+ 1 2}
        stop 1
        end tool_use
        over
    """)


def test_what_waits_for_the_end_of_a_call_that_never_comes_ends_as_an_error() -> None:
    lines, counts = repaired("""
        start
        call 0 toolu_1 look
        input+ 0 {"a":
        text+ 0 Now
        end tool_use
        over
    """)
    assert lines[:3] == ["start", "call 0 toolu_1 look", 'input+ 0 {"a":']
    assert lines[3].startswith("error api_error ")
    assert len(lines) == 4
    assert counts == {"cut_calls": 1}


def test_what_waits_is_bounded() -> None:
    text = 'start\ncall 0 toolu_1 look\ninput+ 0 {"a":\n' + "text+ 0 x\n" * 9000
    lines, counts = repaired(text)
    assert lines[-1].startswith("error api_error ")
    assert counts == {"cut_calls": 1}


@pytest.mark.parametrize(("delta", "start"), [("text+ 0 Hi", "text"), ("think+ 0 Hm", "think")])
def test_a_delta_without_a_block_gets_one(delta: str, start: str) -> None:
    lines, counts = repaired(f"start\n{delta}\n{delta}\nend end_turn\nover")
    assert lines[:4] == ["start", f"{start} 0", delta, delta]
    assert counts["block_kinds"] == 1
    assert counts["block_closings"] == 1


def test_thinking_within_a_text_gets_a_block_and_so_does_the_text_behind_it() -> None:
    lines, _ = repaired("""
        start
        text 0
        text+ 0 One.
        think+ 0 Hm
        text+ 0 Two.
        stop 0
        end end_turn
        over
    """)
    signature = lines[6]
    assert lines == [
        *short("""
            start
            text 0
            text+ 0 One.
            stop 0
            think 1
            think+ 1 Hm
        """),
        signature,
        *short("""
            stop 1
            text 2
            text+ 2 Two.
            stop 2
            end end_turn
            over
        """),
    ]
    assert signature.startswith("sign 1 vllm-sse-proxy")


@pytest.mark.parametrize(
    "delta",
    [
        'input+ 0 {"a": 1}',
        "sign 0 s",
        "text+ 0 ",
        '{"type":"content_block_delta","index":0,"delta":{"type":"other_delta","x":"y"}}',
    ],
)
def test_a_delta_that_can_have_no_block_is_dropped(delta: str) -> None:
    lines, counts = repaired(f"start\n{delta}\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert lines == short("start\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert counts == {"block_kinds": 1}


def test_deltas_that_nobody_knows_pass_in_an_open_block() -> None:
    passes("""
        start
        text 0
        text+ 0 Hi
        {"type":"content_block_delta","index":0,"delta":{"type":"other_delta","x":"y"}}
        stop 0
        end end_turn
        over
    """)


def test_pieces_of_a_call_that_is_over_are_dropped() -> None:
    lines, counts = repaired("""
        start
        call 0 toolu_1 look
        input+ 0 {"a": 1}
        call 1 toolu_2 look
        input+ 0 {"a": 1}
        input+ 1 {"a": 2}
        stop 1
        end tool_use
        over
    """)
    assert lines == short("""
        start
        call 0 toolu_1 look
        input+ 0 {"a": 1}
        stop 0
        call 1 toolu_2 look
        input+ 1 {"a": 2}
        stop 1
        end tool_use
        over
    """)
    assert counts == {"block_closings": 1, "call_inputs": 1}
    lines, counts = repaired("start\ntext 0\ninput+ 0 {\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert lines == short("start\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert counts == {"block_kinds": 1}


def test_missing_stops_are_inserted() -> None:
    lines, counts = repaired("""
        start
        text 0
        text+ 0 One.
        text 1
        text+ 1 Two.
        end end_turn
        over
    """)
    assert lines == short("""
        start
        text 0
        text+ 0 One.
        stop 0
        text 1
        text+ 1 Two.
        stop 1
        end end_turn
        over
    """)
    assert counts == {"block_closings": 2}


@pytest.mark.parametrize("stop", ["stop 0", "stop 9"])
def test_stops_of_nothing_are_dropped(stop: str) -> None:
    text = f"start\ntext 0\ntext+ 0 Hi\nstop 0\n{stop}\nend end_turn\nover"
    lines, counts = repaired(text)
    assert lines == short("start\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert counts == {"block_closings": 1}
    assert repaired(text, disabled=["block_closings", "held_stops"]) == (short(text), {})


def test_the_stop_of_an_earlier_block_does_not_stop_this_one() -> None:
    lines, _ = repaired("""
        start
        text 0
        text+ 0 One.
        text 1
        stop 0
        text+ 1 Two.
        stop 1
        end end_turn
        over
    """)
    assert lines[4:7] == ["text 1", "text+ 1 Two.", "stop 1"]


def test_a_delta_behind_its_stop_comes_before_it() -> None:
    lines, counts = repaired("""
        start
        text 0
        text+ 0 One.
        stop 0
        text+ 0 _Two.
        end end_turn
        over
    """)
    assert lines == short("start\ntext 0\ntext+ 0 One.\ntext+ 0 _Two.\nstop 0\nend end_turn\nover")
    assert counts == {"held_stops": 1}


def test_nothing_of_a_block_follows_the_result() -> None:
    lines, counts = repaired("start\nend end_turn\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert lines == ["start", "end end_turn", "over"]
    assert counts == {"message_closings": 4}


def test_every_vendors_event_passes() -> None:
    event = json.dumps({"type": "vendor.event", "x": 1}, separators=(",", ":"))
    made, counts = repaired(f"start\n{event}\nend end_turn\nover", disabled=["stop_reasons"])
    assert made == ["start", event, "end end_turn", "over"]
    assert counts == {}


def test_what_was_learned_of_a_text_is_void_once_it_was_stopped() -> None:
    """The texts are spelled alike, but the second one has a block of its own."""
    lines, _ = repaired("""
        start
        text 0
        text+ 0 a
        text+ 0 b
        text+ 0 c
        think+ 1 Hm
        text+ 0 d
        text+ 0 e
        text+ 0 f
        stop 0
        end end_turn
        over
    """)
    assert [line for line in lines if line.startswith("text+")] == short("""
        text+ 0 a
        text+ 0 b
        text+ 0 c
        text+ 2 d
        text+ 2 e
        text+ 2 f
    """)


@pytest.mark.parametrize("misfit", ["stop 0", "sign 0 s", "text+ 0 ", 'input+ 2 {"b":'])
def test_what_waits_for_a_call_and_needs_no_block_leaves_the_call_open(misfit: str) -> None:
    """An abort that follows would come behind a stop, and clients would run the call."""
    lines, counts = repaired(f"""
        start
        text 0
        text+ 0 So
        call 1 x look
        {misfit}
        input+ 1 {{"a":
        input+ 1 1}}
        stop 1
        end abort
        over
    """)
    assert lines[:6] == [*short("start\ntext 0\ntext+ 0 So\nstop 0\ncall 1 x look"), 'input+ 1 {"a":']
    assert lines[6] == "input+ 1 1}"
    assert lines[7].startswith("error overloaded_error ")
    assert len(lines) == 8
    assert counts["held_stops"] == 1


def test_words_behind_a_stop_that_a_comment_released_come_in_a_block_of_their_own() -> None:
    """Though they are spelled like words that came before the comment, and went on with the block."""
    lines, counts = repaired("""
        start
        text 0
        text+ 0 a
        stop 0
        text+ 0 b
        : ping
        text+ 0 c
        text+ 0 d
        end end_turn
        over
    """)
    assert lines == short("""
        start
        text 0
        text+ 0 a
        text+ 0 b
        stop 0
        : ping
        text 1
        text+ 1 c
        text+ 1 d
        stop 1
        end end_turn
        over
    """)
    assert counts["block_kinds"] == 1


def test_what_waits_behind_a_cut_call_goes_with_it() -> None:
    lines, _ = repaired("""
        start
        call 0 x look
        call 1 y look
        input+ 1 {"a":
        text+ 2 Hi
        input+ 0 {"a": 1}
        stop 0
        end tool_use
        over
    """)
    assert lines[:4] == short('start\ncall 0 x look\ninput+ 0 {"a": 1}\nstop 0')
    assert lines[4] == "call 1 y look"
    assert lines[-1].startswith("error api_error ")


def test_a_repair_may_release_events_behind_the_last() -> None:
    """The first call is cut, so the message is over; what `repeated_calls` held comes with the event that ended it."""
    lines, counts = repaired("""
        start
        call 0 x look
        input+ 0 {"a":
        stop 0
        call 1 x look
        input+ 1 {"a": 1}
        stop 1
        end tool_use
        over
    """)
    assert lines[3].startswith("error api_error ")
    assert len(lines) == 4
    assert counts["message_closings"] >= 1


def test_a_thought_behind_a_signature_that_has_left_gets_a_block() -> None:
    text = """
        start
        think 0
        think+ 0 Hm
        sign 0 s
        ping
        sign 0 t
        think+ 0 Hm
        stop 0
        text 1
        text+ 1 Hi
        stop 1
        end end_turn
        over
    """
    lines, counts = repaired(text)
    assert lines[:8] == short("start\nthink 0\nthink+ 0 Hm\nsign 0 s\nping\nstop 0\nthink 1\nthink+ 1 Hm")
    assert counts["thinking_signatures"] == 2
    assert repaired(text, disabled=["thinking_signatures"])[1] == {}


def test_a_thought_behind_a_cut_call_ends_it() -> None:
    lines, counts = repaired('start\ncall 0 x look\ninput+ 0 {"a":\nstop 0\nthink+ 1 Hm\nend tool_use\nover')
    assert lines[3].startswith("error api_error ")
    assert counts["cut_calls"] == 1


def test_a_whole_input_is_whole_whatever_index_more_of_it_has() -> None:
    stream = wire('start\ncall 0 x look\ninput+ 0 {"a": 1}\nend tool_use\nover')
    more = stream[stream.index(b"event: content_block_delta") : stream.index(b"event: message_delta")]
    more = more.replace(b',"index":0', b"").replace(b'"index":0,', b"").replace(b'{\\"a\\": 1}', b"}")
    at = stream.index(b"event: message_delta")
    made, normalizer = run(stream[:at] + more + stream[at:])
    assert b'"partial_json":"}"' not in made
    assert normalizer.tally.repairs == {"call_inputs": 1, "block_closings": 1}


def test_words_behind_the_stop_of_a_cut_call_wait_for_the_rest_of_its_input() -> None:
    """The rest comes under the index of the call, behind the text that closed it (A11)."""
    lines, counts = repaired("""
        start
        call 0 x look
        input+ 0 {"a":
        stop 0
        text 1
        text+ 1 Hm
        stop 1
        input+ 0 1}
        stop 0
        end tool_use
        over
    """)
    assert lines == [
        "start",
        "call 0 x look",
        'input+ 0 {"a":',
        "input+ 0 1}",
        "stop 0",
        "text 1",
        "text+ 1 Hm",
        "stop 1",
        "end tool_use",
        "over",
    ]
    assert counts["held_stops"] == 1


@pytest.mark.parametrize(
    ("behind", "kept"),
    [
        ("text 1\ntext+ 1 Hm\nstop 1\nend tool_use\nover", 3),
        ("text 1\ncall 2 y look\nend tool_use\nover", 3),
        ('{"type":"content_block_start","index":1}\nend tool_use\nover', 3),
    ],
)
def test_a_cut_call_behind_which_no_input_comes_is_lost(behind: str, kept: int) -> None:
    lines, counts = repaired(f'start\ncall 0 x look\ninput+ 0 {{"a":\nstop 0\n{behind}')
    assert lines[kept].startswith("error api_error ")
    assert len(lines) == kept + 1
    assert counts["cut_calls"] == 1
