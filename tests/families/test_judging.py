"""What all judges share: how far a text is JSON, that nothing raises, that nothing is slow, and which module imports which."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.families.chat import test_conformance as chat_streams
from tests.families.completions import test_conformance as completions_streams
from tests.families.messages import test_conformance as messages_streams
from tests.families.transcriptions import test_conformance as transcriptions_streams
from tests.support.breaking import DONE, Case
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.judging import ABSENT, JsonState, Violation, json_state, short, strict_json
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.transcriptions import conformance as transcriptions

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = Path(__file__).parents[2] / "proxy" / "vllm_sse_proxy" / "families"
PACKAGE = "vllm_sse_proxy.families"

JSON: list[tuple[str, JsonState]] = [
    ("", JsonState.EMPTY),
    (" \n\t\r", JsonState.EMPTY),
    ("{}", JsonState.OBJECT),
    (' { "a" : [ 1 , -2.5e+3 , true, false, null, "\\u00e9\\n\\"" ] , "b": {} }\n', JsonState.OBJECT),
    ("[]", JsonState.VALUE),
    ("[{}]", JsonState.VALUE),
    ('"x"', JsonState.VALUE),
    ("12", JsonState.VALUE),
    ("null", JsonState.VALUE),
    ("{", JsonState.CUT),
    ("{ ", JsonState.CUT),
    ('{"', JsonState.CUT),
    ('{"a', JsonState.CUT),
    ('{"a"', JsonState.CUT),
    ('{"a" ', JsonState.CUT),
    ('{"a":', JsonState.CUT),
    ('{"a": "b\\', JsonState.CUT),
    ('{"a": "b\\u12', JsonState.CUT),
    ('{"a": "b"', JsonState.CUT),
    ('{"a": "b",', JsonState.CUT),
    ('{"a": 1', JsonState.CUT),
    ('{"a": 1.', JsonState.CUT),
    ('{"a": 1e', JsonState.CUT),
    ('{"a": -', JsonState.CUT),
    ('{"a": tru', JsonState.CUT),
    ('{"a": [', JsonState.CUT),
    ('{"a": [1, ', JsonState.CUT),
    ("-", JsonState.CUT),
    ("n", JsonState.CUT),
    ("{}{}", JsonState.EXCESS),
    ("{} x", JsonState.EXCESS),
    ('{"a": 1}}', JsonState.EXCESS),
    ('"a" "b"', JsonState.EXCESS),
    ("{a: 1}", JsonState.BROKEN),
    ("{,}", JsonState.BROKEN),
    ('{"a" 1}', JsonState.BROKEN),
    ('{"a": }', JsonState.BROKEN),
    ('{"a": 1 "b": 2}', JsonState.BROKEN),
    ('{"a": 1]', JsonState.BROKEN),
    ('{"a": 01}', JsonState.BROKEN),
    ('{"a": +1}', JsonState.BROKEN),
    ('{"a": "\n"}', JsonState.BROKEN),
    ('{"a": "\\x"}', JsonState.BROKEN),
    ('{"a": "\\u12g4"}', JsonState.BROKEN),
    ('{"a": -x}', JsonState.BROKEN),
    ('{"a": nope}', JsonState.BROKEN),
    ("[1,]", JsonState.BROKEN),
    ("x", JsonState.BROKEN),
]


@pytest.mark.parametrize(("text", "state"), JSON)
def test_json_state(text: str, state: JsonState) -> None:
    assert json_state(text) is state


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=4), st.booleans(), st.data())
def test_every_beginning_of_an_object_is_cut_and_the_whole_is_an_object(
    value: dict[str, Any],
    indent: bool,  # noqa: FBT001 - hypothesis calls
    data: st.DataObject,
) -> None:
    import json  # noqa: PLC0415 - its separators make other texts than orjson's

    text = json.dumps(value, indent=2 if indent else None, ensure_ascii=indent)
    assert json_state(text) is JsonState.OBJECT
    place = data.draw(st.integers(1, len(text) - 1))
    assert json_state(text[:place]) is JsonState.CUT
    assert json_state(text + text) is JsonState.EXCESS


@given(st.text(alphabet='{}[]":,\\ 01-.eEtruefalsn"u\n', max_size=30))
def test_json_state_agrees_with_a_parser(text: str) -> None:
    value = strict_json(text.replace("\n", " ").encode())
    state = json_state(text.replace("\n", " "))
    assert (value is not ABSENT) == (state in (JsonState.OBJECT, JsonState.VALUE))
    assert (state is JsonState.OBJECT) == isinstance(value, dict)


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, '{"a":' * 300_000, "{" + " " * 1_000_000, '{"' + "\\\\" * 500_000]
)
def test_a_million_characters_that_never_end_are_cut(text: str) -> None:
    assert json_state(text) is JsonState.CUT


def test_json_on_one_line() -> None:
    assert strict_json(b'{"a": "\\ud83d"}') == {"a": "\ud83d"}
    for data in (b"{\n}", b"{}\r", b"NaN", b'["\\ud83d", NaN]', b"\xff", b"", b"[" * 100_000):
        assert strict_json(data) is ABSENT


def test_values_in_messages_are_short() -> None:
    assert short("x" * 200) == "'" + "x" * 79 + "…"
    assert short(b"x" * 200).endswith("…")
    assert short(ABSENT) == "absent"
    assert not ABSENT
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert short(deep) == "a list that nests too deeply"
    while deep:  # frees it from outside to inside, whatever the interpreter's own way can bear
        deep = deep.pop()


# ------------------------------------------------------------------------------------------------ whatever comes

JUDGES: dict[str, tuple[Callable[..., list[Violation]], Case]] = {
    "chat": (chat.check_stream, chat_streams.perfect()),
    "completions": (completions.check_stream, completions_streams.perfect()),
    "messages": (messages.check_stream, messages_streams.perfect()),
    "transcriptions": (transcriptions.check_stream, transcriptions_streams.events()),
    "transcriptions in chunks": (transcriptions.check_stream, transcriptions_streams.chunks()),
}
each_family = pytest.mark.parametrize("family", JUDGES)

KEYS = st.sampled_from(
    (
        "id",
        "object",
        "created",
        "model",
        "choices",
        "index",
        "delta",
        "finish_reason",
        "logprobs",
        "content",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "role",
        "text",
        "usage",
        "error",
        "message",
        "code",
        "type",
        "content_block",
        "partial_json",
        "stop_reason",
        "stop_sequence",
        "tokens",
        "text_offset",
        "tools",
        "tool_choice",
        "n",
        "prompt",
        "stream_options",
        "include_usage",
        "continuous_usage_stats",
        "stop",
    )
)
NAMES = st.sampled_from(
    (
        "chat.completion.chunk",
        "text_completion",
        "transcription.chunk",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "text_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
        "stop",
        "length",
        "tool_use",
        "tool_calls",
        "thinking",
        "assistant",
        "function",
        "transcript.text.delta",
        "transcript.text.done",
    )
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=3) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@each_family
@given(events=st.lists(ODD, max_size=6), request_body=ODD, mixed=st.randoms(use_true_random=False))
def test_no_events_make_a_judge_raise(family: str, events: list[Any], request_body: Any, mixed: Any) -> None:
    check, case = JUDGES[family]
    odd = events[0] if events and isinstance(events[0], dict) else {}
    for event in case.events:
        if isinstance(event, dict) and mixed.random() < 0.5:
            events.insert(
                mixed.randrange(len(events) + 1),
                {**event, **odd},
            )
    body = b"".join(b"event: x\ndata: " + orjson.dumps(event) + b"\n\n" for event in events)
    for violation in check(body, request=request_body, **case.extra):
        assert violation.rule
        assert str(violation)


@each_family
@given(body=st.binary(max_size=200), place=st.integers(0, 2000))
def test_no_bytes_make_a_judge_raise(family: str, body: bytes, place: int) -> None:
    check, case = JUDGES[family]
    stream = case.encode()
    check(stream[:place] + body + stream[place:], request=case.request, **case.extra)


@each_family
def test_json_that_nests_deeply_makes_no_judge_raise(family: str) -> None:
    check, case = JUDGES[family]
    for depth in (500, 1000, 1100, 100_000):
        nested = b"[" * depth + b"]" * depth
        for key in (
            b"id",
            b"choices",
            b"message",
            b"type",
            b"delta",
            b"content_block",
            b"usage",
            b"error",
            b"model",
        ):
            frame = b'data: {"' + key + b'":' + nested + b"}\n\n"
            check(frame + case.encode() + frame, request=case.request, **case.extra)


@each_family
def test_a_stream_cut_anywhere_breaks_a_rule(family: str) -> None:
    check, case = JUDGES[family]
    stream = case.encode()
    for place in range(len(stream)):
        # OpenAI's events may come without [DONE]
        whole = family == "transcriptions" and stream[place:] == b"data: [DONE]\n\n"
        assert bool(check(stream[:place], request=case.request, **case.extra)) != whole


@each_family
def test_the_judges_are_distinguished_by_what_they_refuse(family: str) -> None:
    check, case = JUDGES[family]
    for other, (_, stranger) in JUDGES.items():
        if other != family:
            assert check(stranger.encode(), **case.extra)


def test_many_pieces_and_many_calls_of_chat() -> None:
    """Would take minutes, were anything joined or searched again with each of them."""
    delta = {"role": "assistant", "content": ""}
    events: list[Any] = [
        chat_streams.chunk(0, delta, 0),
        chat_streams.chunk(0, chat_streams.head(0, "f", '{"a":"'), 1),
    ]
    events += [chat_streams.chunk(0, chat_streams.piece(0, "x"), 2)] * 20_000
    events += [chat_streams.chunk(0, chat_streams.piece(0, '"}'), 2)]
    events += [chat_streams.chunk(0, chat_streams.head(number, "f", "{}"), 2) for number in range(1, 5_000)]
    events += [chat_streams.chunk(0, {}, 2, "tool_calls"), DONE]
    assert chat.check_stream(Case(None, events).encode()) == []


def test_many_pieces_and_many_blocks_of_messages() -> None:
    begun = [messages_streams.call(0, "f"), messages_streams.piece(0, '{"a":"')]
    pieces = [messages_streams.piece(0, "x")] * 20_000
    ended = [messages_streams.piece(0, '"}'), messages_streams.stopped(0)]
    more = [
        each
        for at in range(1, 5_000)
        for each in (messages_streams.call(at, "f"), messages_streams.stopped(at))
    ]
    case = messages_streams.bare(*begun, *pieces, *ended, *more, reason="tool_use")
    assert messages.check_stream(case.encode()) == []


# ------------------------------------------------------------------------------------------------ which module imports which

JUDGE_FILES = [*FAMILIES.glob("*/conformance.py"), *FAMILIES.glob("*/*_judging.py")]
SHARED = {f"{PACKAGE}.judging", f"{PACKAGE}.chunk_judging", f"{PACKAGE}.markup"}


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, the standard library's left out."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}


@pytest.mark.parametrize("path", [path for path in JUDGE_FILES if path.parent.name != "responses"], ids=str)
def test_a_judge_imports_its_grammar_and_what_judges_share(path: Path) -> None:
    own = {f"{PACKAGE}.{path.parent.name}.{name}" for name in ("grammar", "response_judging")}
    assert imported(path) <= {*own, *SHARED}


@pytest.mark.parametrize("name", ["judging", "chunk_judging", "markup", "recognition"])
def test_what_judges_share_imports_no_family(name: str) -> None:
    allowed = {"orjson", "vllm_sse_proxy.sse", f"{PACKAGE}.judging"}
    assert imported(FAMILIES / f"{name}.py") <= allowed


def test_only_judges_import_what_judges_share() -> None:
    for path in FAMILIES.rglob("*.py"):
        if path not in JUDGE_FILES and path.name != "chunk_judging.py":
            assert not imported(path) & (SHARED - {f"{PACKAGE}.markup"}), path
