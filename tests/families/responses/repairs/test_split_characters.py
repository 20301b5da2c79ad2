"""A character whose halves came in two deltas leaves once and whole; a half without the other as U+FFFD."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.repairing import Repaired, opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, summary, whole
from vllm_sse_proxy import BodyEnd, Ending

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH, LOW, LOST = "\ud83d", "\ude00", "\ufffd"
EMOJI = "😀"
Life = tuple[list[Json], Json]


def custom(index: int, *pieces: str) -> Life:
    """Return a custom tool call's events and its done item."""
    return _own(index, "custom_tool_call", "input", "custom_tool_call_input", pieces, call_id="c", name="f")


def mcp(index: int, *pieces: str) -> Life:
    """Return an MCP call's events and its done item."""
    return _own(index, "mcp_call", "arguments", "mcp_call_arguments", pieces, name="f", server_label="s")


def code(index: int, *pieces: str) -> Life:
    """Return a code interpreter call's events and its done item."""
    return _own(
        index, "code_interpreter_call", "code", "code_interpreter_call_code", pieces, container_id="c"
    )


def refusal(index: int, *pieces: str) -> Life:
    """Return the events of a message that refuses, and its done item."""
    life, done = message(index, *pieces)
    emitted = json.loads(
        json.dumps([life, done])
        .replace('"text"', '"refusal"')
        .replace("output_text", "refusal")
        .replace('"logprobs": []', '"x": 0')
        .replace('"annotations": [], ', "")
    )
    return emitted[0], emitted[1]


def _own(index: int, type_: str, field: str, stem: str, pieces: tuple[str, ...], **names: str) -> Life:
    item = {"id": f"x_{index}", "type": type_, **names}
    place = {"item_id": item["id"], "output_index": index}
    text = "".join(pieces)
    done = {**item, field: text, "status": "completed"}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": {**item, field: "", "status": "in_progress"}},
        *({"type": f"response.{stem}.delta", **place, "delta": piece} for piece in pieces),
        {"type": f"response.{stem}.done", **place, field: text},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done  # fmt: skip


LIVES = [message, reasoning, summary, call, custom, mcp, code, refusal]
each_text = pytest.mark.parametrize("life_of", LIVES, ids=lambda life: life.__name__)


def wire_of(events: list[Json]) -> bytes:
    """Return a stream as a server writes it that escapes every half by itself."""
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def sent(events: list[Json], **options: object) -> Repaired:
    """Send such a stream through the core: what leaves can be read strictly, whole."""
    made = repaired(wire_of(events), **options)  # type: ignore[arg-type]
    again = repaired(made.stream)
    assert again.stream == made.stream
    return made


def deltas(made: Repaired) -> list[str]:
    return [event["delta"] for event in made.events if event["type"].endswith(".delta")]


@each_text
def test_the_halves_are_joined(life_of: Callable[..., Life]) -> None:
    life, done = life_of(0, "Hi ", f"a{HIGH}", LOW, f"{LOW}", f" b{HIGH}", f"{LOW}c{EMOJI}", f"{HIGH}{LOW}")
    right, right_done = life_of(
        0, "Hi ", "a", EMOJI, LOST, " b", f"{EMOJI}c{EMOJI}", EMOJI
    )  # as `text` of the done events says it
    made = sent(opened(*life, terminal(done)))
    assert made.events[2:] == [
        {**event, "sequence_number": number} for number, event in enumerate([*right, terminal(right_done)], 2)
    ]


@each_text
def test_upstreams_done_event_says_what_a_lost_half_was(life_of: Callable[..., Life]) -> None:
    life, _ = life_of(0, "Hi ", HIGH)
    right, done = life_of(0, "Hi ", EMOJI)
    made = sent(
        opened(
            *life[: -len(right) + 3],
            *right[4 if life_of in (message, reasoning, summary, refusal) else 3 :],
            terminal(done),
        )
    )
    assert "".join(deltas(made)) == f"Hi {EMOJI}"
    assert made.output == [done]


@each_text
def test_a_half_at_the_end_of_a_stream_that_breaks_off(life_of: Callable[..., Life]) -> None:
    life, _ = life_of(0, "Hi ", HIGH)
    begun = [event for event in life if not event["type"].endswith(".done")]
    made = sent(opened(*begun), end=BodyEnd.CUT)
    assert deltas(made) == ["Hi ", LOST]
    assert made.ending is Ending.CUT


def test_a_half_that_never_gets_the_other() -> None:
    life, _ = message(0, "a", HIGH, "b", f"{HIGH}{HIGH}", f"{LOW}c", LOW, HIGH)
    right, done = message(0, "a", f"{LOST}b", LOST, f"{EMOJI}c", LOST)
    text = f"a{LOST}b{LOST}{EMOJI}c{LOST}{LOST}"
    made = sent(opened(*life, terminal()))
    assert deltas(made) == [*(event["delta"] for event in right if "delta" in event), LOST]
    assert made.one("output_text.done")["text"] == text
    assert made.output[0] == {**done, "content": [{**done["content"][0], "text": text}]}


@pytest.mark.parametrize("closings", [0, 1, 2, 3])
@pytest.mark.parametrize("said", ["", f"Hi {HIGH}", f"Hi {EMOJI}", "Hi "])
def test_whatever_closes_the_text(closings: int, said: str) -> None:
    life, done = message(0, "Hi ", HIGH)
    text = said.replace(HIGH, LOST)
    life = [
        *life[:-3],
        *json.loads(
            json.dumps(life[-closings:] if closings else []).replace(
                json.dumps(f"Hi {HIGH}"), json.dumps(said)
            )
        ),
    ]
    done = {**done, "content": [{**done["content"][0], "text": said}]}
    made = sent(opened(*life, terminal(done)))
    assert "".join(deltas(made)) == (text or f"Hi {LOST}") or closings in (1, 2)
    assert made.one("output_text.done")["text"] == "".join(deltas(made))


def test_without_any_account_u_fffd_takes_its_place() -> None:
    for rest in (
        [],
        [terminal()],
        [{"type": "error", "error": {"message": "boom"}}],
        [{**message(1, "x")[0][0]}],
    ):
        made = sent(opened(*message(0, "Hi ", HIGH)[0][:4], *rest))
        assert deltas(made) == ["Hi ", LOST]


def test_the_next_part_and_the_next_item_at_the_place_release_it() -> None:
    life = message(0, HIGH)[0]
    part = {**life[1], "content_index": 1}
    delta = {**life[2], "content_index": 1, "delta": LOW}
    made = sent(opened(*life[:3], part, delta))
    assert deltas(made) == [LOST, LOST]
    other = message(0, LOW, id_="msg_9")[0]
    assert deltas(sent(opened(*life[:3], *other[:3]))) == [LOST, LOST]
    thought = summary(0, HIGH)[0]
    again = [{**thought[1], "summary_index": 1}, {**thought[2], "summary_index": 1, "delta": LOW}]
    assert deltas(sent(opened(*thought[:3], *again))) == [LOST, LOST]


def test_texts_side_by_side_do_not_mix() -> None:
    first, second = message(0, HIGH, LOW)[0], message(1, HIGH, LOW)[0]
    plain = {**second[2], "delta": "x"}
    assert deltas(sent(opened(*first[:2], *second[:2], first[2], plain, plain, first[3]))) == [
        "x",
        "x",
        EMOJI,
    ]
    made = sent(opened(*first[:2], *second[:2], first[2], second[2], second[3], first[3]))
    assert [(event["output_index"], event["delta"]) for event in made.all("output_text.delta")] == [
        (1, EMOJI),
        (0, EMOJI),
    ]
    named = [
        {name: value for name, value in event.items() if name != "output_index"}
        for event in (*first, *second)
    ]
    made = sent(opened(*first[:2], *second[:2], named[2], named[9], named[10], named[3]))
    assert deltas(made) == [EMOJI, EMOJI]


def test_neither_index_nor_id_is_one_text() -> None:
    life = [
        {name: value for name, value in event.items() if name not in ("item_id", "output_index")}
        for event in message(0, HIGH, LOW)[0]
    ]
    assert deltas(sent(opened(*life))) == [EMOJI]


def test_a_delta_of_nothing_changes_nothing() -> None:
    assert deltas(sent(opened(*message(0, HIGH, "", LOW)[0]))) == ["", EMOJI]


def test_logprobs_leave_at_once() -> None:
    life = message(0, HIGH, LOW)[0]
    sure = [{"token": "x", "logprob": -0.5, "bytes": [240, 159], "top_logprobs": []}]
    made = sent(opened(*life[:2], {**life[2], "logprobs": sure}, life[3], *life[4:]))
    assert [(event["delta"], event["logprobs"]) for event in made.all("output_text.delta")] == [
        ("", sure),
        (EMOJI, []),
    ]
    cut = sent(opened(*life[:2], {**life[2], "logprobs": sure}))
    assert cut.values("output_text.delta", "logprobs") == [sure, []]


def test_no_more_than_some_texts_wait() -> None:
    lives = [message(index, HIGH, LOW)[0] for index in range(80)]
    made = sent(opened(*(event for life in lives for event in life[:3]), *(life[3] for life in lives)))
    emitted = [event["delta"] for event in made.all("output_text.delta")]
    assert emitted == [LOST] * 16 + [LOST] * 16 + [EMOJI] * 64


def test_a_stream_goes_fast_again_behind_it() -> None:
    pieces = ["a", HIGH, LOW, *"bcdefgh"]
    made = sent(opened(*message(0, *pieces)[0][:-3]), end=BodyEnd.CUT)
    assert deltas(made) == ["a", EMOJI, *"bcdefgh"]


@pytest.mark.parametrize("text", [HIGH, f"{HIGH}{LOW}", f"a{LOW}"])
def test_what_is_no_delta_holds_whole_characters(text: str) -> None:
    whole_text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    vendors = {"type": "vendor:x", "a": [text], text: 1}
    life, done = call(0, "{}", name=text)
    made = sent(opened(vendors, *life, terminal(done)))
    assert made.one("vendor:x") == {
        "type": "vendor:x",
        "a": [whole_text],
        whole_text: 1,
        "sequence_number": 2,
    }
    assert made.output[0]["name"] == whole_text


def test_a_vendors_whole_characters_keep_their_bytes() -> None:
    event = b'data: {"type": "vendor:x", "sequence_number": 2, "a": "\\ud83d\\ude00", "b": "\\\\ud83d"}\n\n'
    made = repaired(wire_of([{**event_, "sequence_number": n} for n, event_ in enumerate(opened())]) + event)
    assert event in made.stream
    assert made.repairs == {"unterminated_streams": 1}
    odd = b'data: {"type": "vendor:x", "sequence_number": 2, "load": NaN, "a": "\\ud83d"}\n\n'
    assert repaired(wire_of(opened()) + odd).one("vendor:x")["a"] == LOST


def test_whole_characters_stay() -> None:
    assert untouched(whole(message(0, "Hé ", EMOJI, " 🌍"), reasoning(1, EMOJI), call(2, '{"a": "😀"}')))


@given(st.lists(st.text(st.sampled_from(["a", "é", HIGH, LOW, EMOJI]), max_size=3), max_size=6), st.data())
def test_any_cut_of_any_text(pieces: list[str], data: st.DataObject) -> None:
    """Whatever is cut where, the client has the text that the pieces make together, and can read every event."""
    life_of = data.draw(st.sampled_from([message, reasoning, summary, refusal]))
    life, done = life_of(0, *pieces)
    events = [event for event in life if not event["type"].endswith(".done") or data.draw(st.booleans())]
    end = data.draw(st.sampled_from([[terminal(done)], []]))
    made = sent(opened(*events, *end))
    text = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert "".join(deltas(made)) == text
