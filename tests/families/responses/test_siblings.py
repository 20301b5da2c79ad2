"""Other members of the kinds of which `tests/cases` holds one each (issue 12): what must leave of each.

None of these streams has been seen; each is what a server, a gateway or a cut could send that sends the case.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.support.repairing import Repaired, repaired
from tests.support.streams import call, cited, custom_call, message, reasoning, response, text_part
from vllm_sse_proxy import BodyEnd, Ending, StreamNormalizer, build_plan
from vllm_sse_proxy.sse import encode_event

Json = dict[str, Any]

TOOLS: list[Json] = [
    {"type": "function", "name": "get_weather", "parameters": {}, "strict": None},
    {"type": "custom", "name": "bash"},
    {
        "type": "namespace",
        "name": "mcp__desk",
        "tools": [
            {"type": "function", "name": "list_apps", "parameters": {}, "strict": None},
            {"type": "custom", "name": "type_text"},
        ],
    },
    {
        "type": "namespace",
        "name": "mcp__web__",
        "tools": [{"type": "function", "name": "open", "parameters": {}, "strict": None}],
    },
]
DONE = b"data: [DONE]\n\n"
SAID, SAID_ITEM = message(0, "Hello ", "there.")
THOUGHT, THOUGHT_ITEM = reasoning(0, "Think.")


def opened(*events: Json | bytes) -> list[Json | bytes]:
    begun = response(tools=TOOLS)
    return [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *events,
    ]


def ended(*items: Any, type_: str = "response.completed", **fields: Any) -> Json:
    made = response("completed", list(items), tools=TOOLS)
    return {"type": type_, "response": {**made, **fields}}


def stream_of(*events: Json | bytes, done: bool = True) -> bytes:
    frames, number = [], 0
    for event in opened(*events):
        if isinstance(event, bytes):
            frames.append(event)
            continue
        data = json.dumps({**event, "sequence_number": number})
        frames.append(f"event: {event['type']}\ndata: {data}\n\n".encode())
        number += 1
    return b"".join(frames) + DONE * done


def made_of(*events: Json | bytes, done: bool = True, end: BodyEnd = BodyEnd.EOF) -> Repaired:
    """Repair a stream; what leaves conforms, and stays as it is when it is repaired again."""
    made = repaired(stream_of(*events, done=done), end=end)
    assert repaired(made.stream).stream == made.stream
    return made


def done_items(made: Repaired, *types: str) -> list[Json]:
    return [event["item"] for event in made.all("output_item.done") if event["item"]["type"] in types]


def calls(made: Repaired) -> list[tuple[str, str]]:
    """Return name and arguments of each call that clients run, the same for who reads the final output."""
    run = [_call(item) for item in done_items(made, "function_call", "custom_tool_call") if _is_run(item)]
    assert run == [_call(item) for item in made.output if "call_id" in item and _is_run(item)]
    return run


def _is_run(item: Json) -> bool:
    return item.get("status") != "incomplete"


def _call(item: Json) -> tuple[str, str]:
    name = ":".join(filter(None, (item.get("namespace"), item["name"])))
    return name, str(item.get("arguments", item.get("input")))


def texts(made: Repaired) -> list[str]:
    said = [_said(item) for item in done_items(made, "message", "reasoning")]
    assert said == [_said(item) for item in made.output if item["type"] in ("message", "reasoning")]
    deltas = [event["delta"] for event in made.events if event["type"].endswith("_text.delta")]
    assert sorted("".join(deltas)) == sorted("".join(said))
    return said


def _said(item: Json) -> str:
    return "".join(part["text"] for part in (*item.get("summary", []), *item.get("content", [])))


def final_call(number: int, arguments: Any, name: str = "get_weather", **fields: Any) -> Json:
    """Return a call of the final output under ids of its own, as vLLM up to 0.31 makes them."""
    ids = {"id": f"x{number}", "call_id": f"xc{number}"}
    return {
        **ids,
        "type": "function_call",
        "name": name,
        "arguments": arguments,
        "status": "completed",
    } | fields


def ending(made: Repaired) -> str:
    return made.names[-1]


# K1 to K3


@pytest.mark.parametrize(
    ("type_", "status"),
    [
        ("response.cancelled", None),
        ("response.cancelled", "in_progress"),
        ("response.aborted", "aborted"),
        ("response.expired", "queued"),
        ("response.stopped", "cancelled"),
        ("response.done", "failed"),
        ("response.completed", "cancelled"),
        ("response.completed", "failed"),
    ],
)
def test_an_end_that_is_no_success_is_none(type_: str, status: str | None) -> None:
    assert ending(made_of(*SAID, ended(SAID_ITEM, type_=type_, status=status))) == "failed"


def test_an_end_without_an_object_is_what_its_name_says() -> None:
    assert ending(made_of(*SAID, {"type": "response.cancelled"})) == "failed"
    assert ending(made_of(*SAID, {"type": "response.completed"})) == "completed"
    assert ending(made_of(*SAID, {"type": "response.completed", "response": None})) == "completed"


@pytest.mark.parametrize("status", ["completed", "stopped"])
def test_an_end_with_a_reason_for_not_being_whole_is_not_whole(status: str) -> None:
    """But with the status of a success, a reason that was left from before says nothing."""
    details = {"reason": "max_output_tokens"}
    made = made_of(*SAID, ended(SAID_ITEM, status=status, incomplete_details=details))
    assert ending(made) == ("completed" if status == "completed" else "incomplete")


@pytest.mark.parametrize("cut", [*range(1, len(SAID)), None])
def test_only_what_is_closed_is_a_success_with_done(cut: int | None) -> None:
    made = made_of(*SAID[:cut])
    assert ending(made) == ("completed" if cut is None else "failed")
    assert made_of(*SAID[:cut], done=False).ending is Ending.TRUNCATED


@pytest.mark.parametrize(
    "rest",
    [
        [],
        [ended()],
        [ended(output=None)],
        [{"type": "response.completed", "response": {"id": "resp_1"}}],
        [ended(SAID_ITEM)],
        [ended(type_="response.incomplete", status="incomplete")],
    ],
)
@pytest.mark.parametrize(
    "half", [call(0, '{"city": "Ro', 'me"}')[0][:2], custom_call(0, "rm -rf /tmp", "/build")[0][:2]]
)
def test_half_a_call_is_run_by_nobody(half: list[Json], rest: list[Json]) -> None:
    """A call of a function is closed as incomplete at most; that of a custom tool stays open."""
    made = made_of(*half, *rest)
    assert calls(made) == []
    assert not done_items(made, "custom_tool_call")
    assert ending(made) in ("failed", "incomplete") or made.output[-1]["type"] == "message"


def test_a_stale_object_is_no_failure() -> None:
    for status in (None, "queued", "in_progress"):
        made = made_of(*SAID, ended({**SAID_ITEM, "status": "in_progress"}, status=status))
        assert (ending(made), [item["status"] for item in made.output]) == ("completed", ["completed"])


# K4


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (
            {"object": "error", "message": "KV lost", "type": "BadRequestError", "param": None, "code": 400},
            "400",
        ),
        ({"error": {"message": "KV lost", "type": "x", "param": None, "code": "c1"}}, "c1"),
        ({"type": "error", "error": {"message": "KV lost", "code": "c2"}}, "c2"),
        ({"type": "response.error", "error": {"message": "KV lost", "code": 503}}, "503"),
        ({"detail": "KV lost"}, "server_error"),
        ({"error": "KV lost"}, "server_error"),
        ({"errors": [{"message": "KV lost"}]}, "server_error"),
        ({"status_code": 500, "error_message": "KV lost"}, "500"),
        ({"type": "InternalServerError", "message": "KV lost", "code": 500}, "500"),
    ],
)
@pytest.mark.parametrize("form", ["data: %s\n\n", "data: %s\n", "data: %s", "data: %s\r\n\r\n", "%s"])
def test_an_error_of_any_shape_keeps_its_words(payload: Json, code: str, form: str) -> None:
    made = made_of(*SAID[:4], (form % json.dumps(payload)).encode(), done=False)
    assert made.body[-2:] == ["error", "failed"]
    assert (made.one("error")["code"], made.one("error")["message"]) == (code, "KV lost")
    assert made.one("failed")["response"]["error"]["message"] == "KV lost"


def test_an_error_in_utf_16_and_one_on_several_lines() -> None:
    for data in (
        '{"error":{"message":"KV lost"}}'.encode("utf-16-le"),
        b'{"error":\ndata: {"message":"KV lost"}}',
    ):
        assert made_of(*SAID[:4], b"data: " + data + b"\n\n").one("error")["message"] == "KV lost"


# K5 and K6


@pytest.mark.parametrize(
    "final",
    [
        '{"days": 3, "ok": true}',
        '{"days": "3", "ok": "true", "unit": null}',
        '{"days": "3", "ok": "true"}\n',
        '{"days": "3", "ok": "true"}{"days": "3", "ok": "true"}',
        '"3", "ok": "true"}',
        "{}",
        "",
        None,
        {"days": 3, "ok": True},
    ],
)
def test_another_account_of_a_call_is_no_other_call(final: object) -> None:
    life, _ = call(0, '{"days": "3", ', '"ok": "true"}')
    made = made_of(*life, ended(final_call(0, final)))
    assert calls(made) == [("get_weather", '{"days": "3", "ok": "true"}')]


def test_a_final_call_that_is_there_again_under_new_ids_is_run_once() -> None:
    """Nobody can know whether it is one call or two; one too few does no harm."""
    life, _ = call(0, '{"city": "Oslo"}')
    made = made_of(*life, ended(final_call(0, '{"city": "Oslo"}'), final_call(1, '{"city":"Oslo"}')))
    assert calls(made) == [("get_weather", '{"city": "Oslo"}')]


def test_a_final_call_that_asks_for_something_else_is_another() -> None:
    life, _ = call(0, '{"city": "Oslo"}')
    made = made_of(*life, ended(final_call(0, '{"city": "Oslo"}'), final_call(1, '{"city": "Bonn"}')))
    assert calls(made) == [("get_weather", '{"city": "Oslo"}'), ("get_weather", '{"city": "Bonn"}')]


def test_two_equal_calls_that_were_streamed_are_two() -> None:
    lives = [*call(0, "{}")[0], *call(1, "{}")[0]]
    assert (
        calls(made_of(*lives, ended(final_call(0, "{}"), final_call(1, "{}")))) == [("get_weather", "{}")] * 2
    )


def test_two_equal_calls_of_which_none_was_streamed_are_two() -> None:
    assert calls(made_of(ended(final_call(0, "{}"), final_call(1, "{}")))) == [("get_weather", "{}")] * 2


@pytest.mark.parametrize("closed", [False, True])
def test_each_of_several_truncated_calls_gets_its_arguments(closed: bool) -> None:  # noqa: FBT001 - a parameter
    cities = ["Rome", "Oslo", "Bonn"]
    lives = [
        event
        for index, city in enumerate(cities)
        for event in call(index, f'{{"city": "{city[:2]}')[0][: None if closed else 2]
    ]
    made = made_of(
        *lives, ended(*[final_call(at, f'{{"city": "{city}"}}') for at, city in enumerate(cities)])
    )
    assert calls(made) == [("get_weather", f'{{"city": "{city}"}}') for city in cities]


def test_a_call_that_waited_says_the_same_in_all_its_closings() -> None:
    """Behind a call without whole arguments the closings of the next one wait; found by a property."""
    first, second = call(0, '{"city": "Ro')[0], call(1, '{"city": "Oslo"}')[0]
    second[-2]["arguments"] += "\n"
    finals = [final_call(at, f'{{"city": "{city}"}}') for at, city in enumerate(("Rome", "Oslo"))]
    names = [(name, arguments.strip()) for name, arguments in calls(made_of(*first, *second, ended(*finals)))]
    assert names == [("get_weather", '{"city": "Rome"}'), ("get_weather", '{"city": "Oslo"}')]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_call_whose_announcement_was_lost_is_not_the_open_one(lost: int) -> None:
    """The end of the first call may be lost with it; nobody runs the second in its place, or twice."""
    rome, rome_item = call(0, '{"city": ', '"Rome"}')
    oslo, oslo_item = call(1, '{"city": ', '"Oslo"}')
    streamed = [*rome[: len(rome) - lost + 1], *oslo[1:]]
    made = made_of(*streamed, ended({**rome_item, "id": "fc_a"}, {**oslo_item, "id": "fc_b"}))
    arguments = ['{"city": "Oslo"}', '{"city": "Rome"}']
    assert sorted(item["arguments"] for item in done_items(made, "function_call")) == arguments
    assert sorted(item["arguments"] for item in made.output) == arguments


def test_a_part_that_the_open_item_cannot_have_is_of_another_item() -> None:
    """The reasoning behind a message lost its announcement, and all of its text but the closing of its part."""
    life, done = reasoning(1, "Think.")
    made = made_of(*SAID[:3], life[-2], life[-1], ended(SAID_ITEM, done))
    assert [(item["type"], _said(item)) for item in made.output] == [
        ("message", "Hello there."),
        ("reasoning", "Think."),
    ]


def test_items_of_two_kinds_with_one_id_are_two_items() -> None:
    made = made_of(
        ended(message(0, "One.", id_="z")[1], final_call(0, "{}", id="z"), message(0, "Two.", id_="z")[1])
    )
    assert texts(made) == ["One.", "Two."]
    assert len({item["id"] for item in made.output}) == 3


# K8


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mcp__desk__list_apps", "mcp__desk:list_apps"),
        ("mcp__desk.list_apps", "mcp__desk:list_apps"),
        ("mcp__web__open", "mcp__web__:open"),
        ("list_apps", "mcp__desk:list_apps"),
        ("mcp__desk__nothing", "mcp__desk__nothing"),
        ("get_weather", "get_weather"),
    ],
)
def test_a_flattened_name_gets_its_namespace_back(name: str, expected: str) -> None:
    life, done = call(0, "{}", name=name)
    assert calls(made_of(*life, ended({**done, "id": "x", "call_id": "y"}))) == [(expected, "{}")]
    assert calls(made_of(ended(done))) == [(expected, "{}")]


@pytest.mark.parametrize(
    ("name", "expected"), [("bash", "bash"), ("mcp__desk__type_text", "mcp__desk:type_text")]
)
def test_a_custom_tool_gets_its_input(name: str, expected: str) -> None:
    life, done = call(0, '{"input": "a\\', 'n\\u00e9"}', name=name)
    assert calls(made_of(*life, ended(done))) == [(expected, "a\né")]
    assert calls(made_of(ended(done))) == [(expected, "a\né")]


# K9


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "message", "role": "assistant", "content": "Yes"},
        {"role": "assistant", "content": "Yes"},
        {"type": "message", "role": "assistant", "content": ["Yes"]},
        {"type": "message", "role": "assistant", "content": {"type": "text", "text": "Yes"}},
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": {"value": "Yes"}}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": {"value": "Yes"}}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "widget"}, {"type": "text", "text": "Yes"}],
        },
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_in_a_chats_shape_is_an_answer(shape: Json, streamed: bool) -> None:  # noqa: FBT001 - a parameter
    done: list[Json] = [{"type": "response.output_item.done", "output_index": 1, "item": shape}] * streamed
    made = repaired(stream_of(*THOUGHT, *done, ended(THOUGHT_ITEM, shape)), conforming=shape["content"] != [])
    assert [_said(item) for item in done_items(made, "reasoning")] == ["Think."]
    (answer,) = done_items(made, "message")
    assert [part["text"] for part in answer["content"] if "text" in part] == ["Yes"]
    assert made.values("output_text.delta", "delta") == ["Yes"]


@pytest.mark.parametrize("content", [None, [], "Ok", [{"type": "reasoning_text", "text": {"value": "Ok"}}]])
def test_a_summary_in_a_chats_shape_is_a_summary(content: object) -> None:
    made = made_of(ended({"type": "reasoning", "id": "r", "summary": "Hm", "content": content}))
    assert texts(made) == ["HmOk" if content else "Hm"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_thought_that_is_a_summary_in_another_account_comes_once(streamed: bool) -> None:  # noqa: FBT001 - a parameter
    moved = {**THOUGHT_ITEM, "content": [], "summary": [{"type": "summary_text", "text": "Think."}]}
    closing = {**THOUGHT[-1], "item": moved if streamed else THOUGHT_ITEM}
    made = made_of(*THOUGHT[:-1], closing, *message(1, "Hi")[0], ended(moved, message(1, "Hi")[1]))
    assert texts(made) == ["Think.", "Hi"]
    assert made.values("reasoning_summary_text.delta", "delta") == []


def test_a_part_that_is_the_second_of_its_item_is_not_said_again() -> None:
    """The stream lost the first part, which is empty, with its announcement; found by a property."""
    life, _ = message(0, "See.", id_="m")
    done = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [text_part(""), text_part("See.")],
    }
    second = [{**event, "content_index": 1} for event in life[1:-1]]
    assert texts(made_of(*second, {**life[-1], "item": done}, ended(done))) == ["See."]


@pytest.mark.parametrize("logprobs", [-1, [{"type": "output_text", "text": "t"}]])
@pytest.mark.parametrize("make", [reasoning, cited, call])
def test_logprobs_where_none_are_stay_there(make: Any, logprobs: object) -> None:
    """They are in no closing that is made, whose second repair would leave them out (found by the property)."""
    life, done = make(0, "Hi")
    closing = next(event for event in life if event["type"].endswith(".done"))
    odd = [
        {**event, "logprobs": logprobs}
        for event in life
        if event is not closing and not event["type"].startswith("response.output_text.")
    ]
    made = made_of(*odd, ended(done))
    assert not [
        event for event in made.events if event["type"].endswith("text.done") and event.get("logprobs")
    ]


def test_an_id_that_two_items_share_names_the_one_in_its_place() -> None:
    """The first was never closed, and no announcement has an id (found by the property)."""
    events: list[Json] = []
    finals = []
    for index, words in enumerate(("Look.", "Rome is warm.")):
        life, done = message(index, words)
        life[0]["item"] = {**life[0]["item"], "id": None}
        events += [{**event, "item_id": "same"} if "item_id" in event else event for event in life[:-1]]
        finals.append(done)
        if index == 0:
            del events[-2:]
    events.append({"type": "response.output_item.done", "output_index": 1, "item": {**finals[1], "id": None}})
    made = made_of(*events, ended(*finals))
    said = [part["text"] for item in done_items(made, "message") for part in item["content"]]
    assert sorted(said) == ["Look.", "Rome is warm."]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_id_that_is_not_the_announced_one_names_nothing_however_it_comes(size: int) -> None:
    """Whether the second delta was walked or rewritten, the closing is the open call's (R12; found by the property)."""
    item: Json = {"arguments": "", "call_id": "c", "name": "get_weather", "type": "function_call", "id": ""}
    done = {**item, "arguments": '{"city": "Rom', "id": None, "call_id": "d", "status": "completed"}
    place = {"item_id": "fc_a", "output_index": 0}
    events: list[Json] = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.function_call_arguments.delta", **place, "delta": '{"'},
        {"type": "response.function_call_arguments.delta", **place, "delta": ' "Rom'},
        {
            "type": "response.function_call_arguments.done",
            "item_id": "another",
            "output_index": 1,
            "arguments": done["arguments"],
        },
        {"type": "response.output_item.done", "output_index": 1, "item": done},
        {
            "type": "response.completed",
            "response": {"id": "r", "status": "completed", "output": [{**done, "id": "z", "call_id": "z"}]},
        },
    ]
    stream = b"".join(
        encode_event(event["type"], orjson.dumps({**event, "sequence_number": number}))
        for number, event in enumerate(events, start=2)
    )
    normalizer = StreamNormalizer(build_plan(strict=True))
    pieces = [normalizer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    made = repaired(stream, conforming=False)  # two deltas are lost
    assert b"".join([*pieces, normalizer.finish(BodyEnd.EOF)]) == made.stream
    assert len(made.all("function_call_arguments.done")) == 1


@pytest.mark.parametrize("first", ["", "Hi"])
@pytest.mark.parametrize("damage", ["lost", "late", "lost with its text"])
def test_a_part_whose_announcement_does_not_come_first_is_not_the_last_part(first: str, damage: str) -> None:
    """What follows the closing of a part, under the next index, is of the next part (found by the property)."""
    life, done = cited(0, first)
    at = next(place for place, event in enumerate(life) if event.get("content_index") == 1)
    announcement, words = life[at], life[at + 1]
    life[at : at + 2] = {"lost": [words], "late": [words, announcement]}.get(damage, [])
    made = made_of(*life, ended(done))
    (item,) = done_items(made, "message")
    assert [part["text"] for part in item["content"]] == [first, "See."]


@pytest.mark.parametrize(
    "between", [[], [{"type": "response.heartbeat"}], [b": ping\n\n"], [{"type": "keepalive"}]]
)
def test_halves_of_a_character_find_each_other(between: list[Json | bytes]) -> None:
    whole = {**SAID_ITEM, "content": [text_part("a😀b")]}
    halves = [{**SAID[2], "delta": "a\ud83d"}, *between, {**SAID[3], "delta": "\ude00b"}]
    made = made_of(*SAID[:2], *halves, ended(whole))
    assert texts(made) == ["a😀b"]


def test_halves_of_two_items_do_not_mix() -> None:
    other, _ = message(1, "x")
    pieces = [
        {**SAID[2], "delta": "a\ud83d"},
        {**other[2], "delta": "\ud83d"},
        {**SAID[2], "delta": "\ude00b"},
        {**other[2], "delta": "\ude01"},
    ]
    made = made_of(
        *SAID[:2], *other[:2], *pieces, {"type": "response.completed", "response": {"id": "resp_1"}}
    )
    assert texts(made) == ["a😀b", "😁"]


# K10


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_payloads_in_any_unicode_are_read(encoding: str) -> None:
    life, done = message(0, "Hé 😀")
    frames = stream_of(*life, ended(done), done=False).split(b"\n\n")[:-1]
    events = [json.loads(frame.partition(b"data: ")[2]) for frame in frames]
    stream = b"".join(
        b"data: " + json.dumps(event, ensure_ascii=False).encode(encoding) + b"\n\n" for event in events
    )
    made = repaired(stream)
    assert texts(made) == ["Hé 😀"]
    made.stream.decode("utf-8", "strict")


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_every_line_end_ends_lines(line_end: bytes) -> None:
    stream = stream_of(*SAID, ended(SAID_ITEM))
    assert texts(repaired(stream.replace(b"\n", line_end))) == ["Hello there."]


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 5, "output_tokens": 4},
        {"input_tokens": 5, "total_tokens": 9},
        {"output_tokens": 4, "total_tokens": 9},
        {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
        {"input_tokens": "5", "output_tokens": 4.0, "output_tokens_details": {"reasoning_tokens": None}},
    ],
)
def test_counts_that_follow_from_others_are_there(usage: Json) -> None:
    whole = made_of(*SAID, ended(SAID_ITEM, usage=usage)).one("completed")["response"]["usage"]
    assert (whole["input_tokens"], whole["output_tokens"], whole["total_tokens"]) == (5, 4, 9)
    assert whole["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "custom_tool_call", "name": "bash", "call_id": "c", "input": "go"},
        {"type": "mcp_call", "name": "x", "server_label": "s", "arguments": "{}", "output": "ok"},
        {"type": "mcp_list_tools", "server_label": "s", "tools": [{"name": "a", "input_schema": {}}]},
        {"type": "web_search_call", "action": {"type": "search", "query": "q"}},
        {"type": "code_interpreter_call", "code": "1", "container_id": "c", "outputs": []},
        {"type": "image_generation_call", "result": "x"},
        {
            "type": "local_shell_call",
            "call_id": "c",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
    ],
)
@pytest.mark.parametrize("status", ["completed", "in_progress"])
def test_items_that_come_at_once_conform(item: Json, status: str) -> None:
    whole = {**item, "id": "i", "status": status}
    for events in (
        [{"type": "response.output_item.done", "output_index": 0, "item": whole}],
        [
            {"type": f"response.output_item.{name}", "output_index": 0, "item": whole}
            for name in ("added", "done")
        ],
        [],
    ):
        made = made_of(*events, ended(whole))
        assert [one["item"]["type"] for one in made.all("output_item.done")] == [item["type"]]
        assert ending(made) == "completed"


def test_before_any_event_an_error_is_the_http_answer() -> None:
    for body in (b'{"error": {"message": "KV lost", "code": 503}}', b'{\n "detail": "KV lost"\n}\n'):
        normalizer = StreamNormalizer(build_plan(strict=True))
        normalizer.feed(body)
        normalizer.finish(BodyEnd.EOF)
        assert not normalizer.committed
        assert normalizer.failure is not None
        assert normalizer.failure.message == "KV lost"
