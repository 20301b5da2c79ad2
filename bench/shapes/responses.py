"""Streams in which one element stands many times: what they cost must grow with their length, and no faster.

Every shape is a function of a number, and returns a stream with so many of its element. ``bench/worst.py`` measures them a
megabyte long, ``tests/properties/test_linear.py`` counts the steps of short ones.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Json = dict[str, Any]

_FIRST_NUMBER: Final = 10_000
"""Of the events: all of one width, so that a stream twice as long is twice as long, and all of them wrong."""
TOOL: Final[Json] = {"type": "function", "name": "f", "description": None, "parameters": {}, "strict": False}
_MESSAGE: Final = {"item_id": "m", "output_index": 0, "content_index": 0}
_CALL: Final = {"item_id": "c", "output_index": 0}


class Stream:
    """Writes a stream, event by event, as vLLM writes one."""

    def __init__(self, **response: Any) -> None:
        self._frames: list[bytes] = []
        self._number = _FIRST_NUMBER
        self._response = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": "m",
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [TOOL],
            **response,
        }
        for name in ("created", "in_progress"):
            self.event(f"response.{name}", response={**self._response, "status": "in_progress", "output": []})

    def event(self, type_: str, **fields: Any) -> Stream:
        """Write an event."""
        body = {"type": type_, **fields, "sequence_number": self._number}
        data = json.dumps(body, separators=(",", ":"))
        self._frames.append(f"event: {type_}\ndata: {data}\n\n".encode())
        self._number += 1
        return self

    def raw(self, frame: bytes) -> Stream:
        """Write bytes as they are."""
        self._frames.append(frame)
        return self

    def ended(self, output: Iterable[Json] = (), status: str = "completed", **fields: Any) -> bytes:
        """Write the terminal event, and return the stream."""
        final = {**self._response, "status": status, "output": list(output), **fields}
        self.event(f"response.{status}", response=final)
        return b"".join([*self._frames, b"data: [DONE]\n\n"])

    def opened(
        self, *, kind: str = "message", id_: str = "m", index: int = 0, part: str | None = "output_text"
    ) -> Stream:
        """Announce an item, with a part if it is one of text."""
        self.event(
            "response.output_item.added", output_index=index, item=item(kind, id_, status="in_progress")
        )
        if part is not None:
            place = {"item_id": id_, "output_index": index, "content_index": 0}
            self.event("response.content_part.added", **place, part=text_part("", part))
        return self

    def deltas(
        self, words: Iterable[Any], kind: str = "output_text", place: Json = _MESSAGE, **fields: Any
    ) -> Stream:
        """Write a delta for each of the words."""
        for word in words:
            self.event(f"response.{kind}.delta", **place, delta=word, **fields)
        return self

    def life(self, index: int, done: Json) -> Stream:
        """Write the whole life of an item."""
        if done["type"] == "function_call":
            self.opened(kind="function_call", id_=done["id"], index=index, part=None)
            place = {"item_id": done["id"], "output_index": index}
            self.deltas([done["arguments"]], "function_call_arguments", place)
            self.event(
                "response.function_call_arguments.done", **place, arguments=done["arguments"], name="f"
            )
        else:
            part = done["content"][0]
            kind = part["type"]
            self.opened(kind=done["type"], id_=done["id"], index=index, part=kind)
            place = {"item_id": done["id"], "output_index": index, "content_index": 0}
            self.deltas([part["text"]], kind, place, **({"logprobs": []} if kind == "output_text" else {}))
            self.event(f"response.{kind}.done", **place, text=part["text"])
            self.event("response.content_part.done", **place, part=part)
        return self.event("response.output_item.done", output_index=index, item=done)


def text_part(text: str, kind: str = "output_text") -> Json:
    """Return a part."""
    return {"type": kind, "text": text} | (
        {"annotations": [], "logprobs": []} if kind == "output_text" else {}
    )


def item(kind: str, id_: str, text: str | None = None, *, status: str = "completed", **fields: Any) -> Json:
    """Return an item of a message, of reasoning, of a call, or of a hosted tool; empty without ``text``."""
    known: Json = {"id": id_, "type": kind, "status": status}
    if kind == "message":
        known |= {"role": "assistant", "content": [] if text is None else [text_part(text)]}
    elif kind == "reasoning":
        known |= {"summary": [], "content": [] if text is None else [text_part(text, "reasoning_text")]}
    elif kind == "function_call":
        known |= {"call_id": f"call_{id_}", "name": "f", "arguments": text or ""}
    elif kind == "mcp_call":
        known |= {"name": "browser.search", "server_label": "browser", "arguments": text or ""}
    elif kind == "web_search_call":
        known |= {"action": {"type": "search", "query": "q"}}
    return known | fields


def _words(number: int) -> list[str]:
    return [f" w{place % 10}" for place in range(number)]


def _message(number: int) -> Json:
    return item("message", f"msg_{number:05d}", f"Answer {number:05d}.")


def _made_call(number: int) -> Json:
    return item("function_call", f"fc_{number:05d}", json.dumps({"a": f"{number:05d}"}))


def _renamed(final: Json) -> Json:
    return {**final, "id": f"x{final['id']}"} | ({"call_id": f"x{final['id']}"} if "call_id" in final else {})


# Deltas


def deltas(number: int) -> bytes:
    """Return a message of so many deltas, closed and in the final object."""
    words = _words(number)
    stream = Stream().opened().deltas(words, logprobs=[])
    done = item("message", "m", "".join(words))
    stream.event("response.output_text.done", **_MESSAGE, text="".join(words))
    stream.event("response.content_part.done", **_MESSAGE, part=done["content"][0])
    return stream.event("response.output_item.done", output_index=0, item=done).ended([done])


def unclosed_deltas(number: int) -> bytes:
    """Return a message of so many deltas that is never closed, and whose final text has one word more."""
    words = _words(number)
    return Stream().opened().deltas(words).ended([item("message", "x", "".join(words) + " more")])


def object_deltas(number: int) -> bytes:
    """Return deltas that are objects."""
    return Stream().opened().deltas([{"content": word} for word in _words(number)]).ended()


def empty_deltas(number: int) -> bytes:
    """Return empty deltas after one that may begin a marker of a call."""
    return Stream().opened().deltas(["<", *[""] * number]).ended()


def less_than_signs(number: int) -> bytes:
    """Return deltas that each may begin a marker of a call."""
    return Stream().opened().deltas(["<"] * number).ended()


def brackets(number: int) -> bytes:
    """Return one delta of characters that may begin a marker of a call."""
    return Stream().opened().deltas(["<[" * number]).ended()


def forced_white_space(number: int) -> bytes:
    """Return empty deltas at the beginning of a message where a call is forced."""
    return Stream(tool_choice="required").opened().deltas([" "] * number).ended()


def deltas_with_logprobs(number: int) -> bytes:
    """Return deltas that each have a logprob."""
    logprobs = [{"token": "a", "logprob": -0.5, "top_logprobs": []}]
    return Stream().opened().deltas(_words(number), logprobs=logprobs).ended()


def deltas_of_unknown_items(number: int) -> bytes:
    """Return deltas that each name another item, none of which was announced."""
    stream = Stream()
    for place in range(number):
        stream.event("response.output_text.delta", **{**_MESSAGE, "item_id": f"u{place:05d}"}, delta=" w")
    return stream.ended()


def deltas_of_unknown_parts(number: int) -> bytes:
    """Return deltas that each name another part, as vLLM up to 0.16 sends them."""
    stream = Stream().opened(kind="reasoning", part="output_text")
    for place in range(number):
        stream.event("response.reasoning_text.delta", **{**_MESSAGE, "content_index": place}, delta=" w")
    return stream.ended()


def interleaved_deltas(number: int) -> bytes:
    """Return deltas of so many open items in turns."""
    stream = Stream()
    for place in range(number):
        stream.opened(id_=f"m{place:05d}", index=place)
    for _ in range(2):
        for place in range(number):
            stream.deltas(
                [" w"], place={"item_id": f"m{place:05d}", "output_index": place, "content_index": 0}
            )
    return stream.ended()


def arguments(number: int) -> bytes:
    """Return a call whose arguments come in so many deltas, and with other spaces in the final object."""
    pieces = ['{"a": "', *["x"] * number, '"}']
    stream = (
        Stream()
        .opened(kind="function_call", id_="c", part=None)
        .deltas(pieces, "function_call_arguments", _CALL)
    )
    return stream.ended([item("function_call", "x", json.dumps({"a": "x" * number}, separators=(",", ":")))])


def headless_arguments(number: int) -> bytes:
    """Return a call whose arguments come in so many deltas, of which the first is lost."""
    pieces = [*["x"] * number, '"}']
    stream = (
        Stream()
        .opened(kind="function_call", id_="c", part=None)
        .deltas(pieces, "function_call_arguments", _CALL)
    )
    return stream.ended([item("function_call", "x", json.dumps({"a": "x" * number}))])


def doubled_deltas(number: int) -> bytes:
    """Return a summary under a private name and under the protocol's."""
    stream = Stream().opened(kind="reasoning", part=None)
    place = {"item_id": "m", "output_index": 0, "summary_index": 0}
    for word in _words(number):
        stream.deltas([word], "reasoning_summary_text", place).deltas([word], "reasoning.summary", place)
    return stream.ended()


def fork_calls(number: int) -> bytes:
    """Return a call in slices, in a fork's own form."""
    call = json.dumps([{"type": "tool_call", "id": "c", "name": "f", "arguments": "x" * number}])
    return Stream().deltas([call[place : place + 1] for place in range(len(call))], "tool_call", {}).ended()


def held_text_call(number: int) -> bytes:
    """Return a call as text in so many deltas, which the final object has as a call."""
    call = item("function_call", "x", json.dumps({"a": "w" * number}))
    words = ["<tool_call>", '{"name": "f", "arguments": {"a": "', *["w"] * number, '"}}</tool_call>']
    return Stream().opened().deltas(words).ended([call])


# Items


def messages(number: int) -> bytes:
    """Return whole messages that the final object repeats."""
    return _lives([_message(place) for place in range(number)])


def messages_with_new_ids(number: int) -> bytes:
    """Return whole messages that the final object repeats under other ids."""
    lives = [_message(place) for place in range(number)]
    return _lives(lives, map(_renamed, lives))


def equal_messages(number: int) -> bytes:
    """Return whole messages that all say the same, and have other ids in the final object."""
    lives = [{**_message(place), "content": [text_part("The same answer.")]} for place in range(number)]
    return _lives(lives, map(_renamed, lives))


def messages_that_differ(number: int) -> bytes:
    """Return whole messages of which the final object has others."""
    return _lives(
        [_message(place) for place in range(number)], [_message(50_000 + place) for place in range(number)]
    )


def reasoning(number: int) -> bytes:
    """Return whole reasoning items that are messages in the final object."""
    lives = [item("reasoning", f"rs_{place:05d}", f"Thought {place:05d}.") for place in range(number)]
    return _lives(
        lives, [item("message", f"x{place:05d}", f"Thought {place:05d}.") for place in range(number)]
    )


def calls(number: int) -> bytes:
    """Return whole calls that the final object repeats."""
    return _lives([_made_call(place) for place in range(number)])


def calls_with_new_ids(number: int) -> bytes:
    """Return whole calls that the final object repeats under other ids."""
    lives = [_made_call(place) for place in range(number)]
    return _lives(lives, map(_renamed, lives))


def equal_calls(number: int) -> bytes:
    """Return whole calls that are all alike, and have other ids in the final object."""
    lives = [{**_made_call(place), "arguments": "{}"} for place in range(number)]
    return _lives(lives, map(_renamed, lives))


def calls_that_differ(number: int) -> bytes:
    """Return whole calls that have other ids and other arguments in the final object."""
    lives = [_made_call(place) for place in range(number)]
    return _lives(lives, [{**_renamed(life), "arguments": '{"b":1}'} for life in lives])


def calls_in_the_other_order(number: int) -> bytes:
    """Return whole calls that the final object has under other ids and in the other order."""
    lives = [_made_call(place) for place in range(number)]
    return _lives(lives, map(_renamed, reversed(lives)))


def _lives(lives: list[Json], final: Iterable[Json] | None = None) -> bytes:
    stream = Stream()
    for index, life in enumerate(lives):
        stream.life(index, life)
    return stream.ended(lives if final is None else final)


def final_messages(number: int) -> bytes:
    """Return messages that only the final object has."""
    return Stream().ended(_message(place) for place in range(number))


def final_calls(number: int) -> bytes:
    """Return calls that only the final object has."""
    return Stream().ended(_made_call(place) for place in range(number))


def final_messages_with_one_id(number: int) -> bytes:
    """Return messages that only the final object has, all under one id."""
    return Stream().ended({**_message(place), "id": "m"} for place in range(number))


def announcements(number: int) -> bytes:
    """Return items that are announced, and of which nothing more comes."""
    stream = Stream()
    for place in range(number):
        stream.opened(id_=f"m{place:05d}", index=place, part=None)
    return stream.ended()


def repeated_announcements(number: int) -> bytes:
    """Return one announcement so many times."""
    stream = Stream()
    for _ in range(number):
        stream.opened(kind="function_call", id_="c", part=None)
    return stream.ended()


def announcements_under_one_id(number: int) -> bytes:
    """Return messages that are all announced under one id, with text under ids of their own."""
    stream = Stream()
    for place in range(number):
        stream.opened(id_="m", index=0, part=None)
        stream.deltas([" w"], place={"item_id": f"n{place:05d}", "output_index": place, "content_index": 0})
    return stream.ended()


def open_calls(number: int) -> bytes:
    """Return calls that are never closed, and that the final object lacks."""
    stream = Stream()
    for place in range(number):
        stream.opened(kind="function_call", id_=f"c{place:05d}", index=place, part=None)
        stream.deltas(
            ['{"a":1}'], "function_call_arguments", {"item_id": f"c{place:05d}", "output_index": place}
        )
    return stream.ended()


def done_items(number: int) -> bytes:
    """Return items of which nothing comes but their done event."""
    stream = Stream()
    for place in range(number):
        stream.event("response.output_item.done", output_index=place, item=_message(place))
    return stream.ended()


def done_calls_without_ids(number: int) -> bytes:
    """Return whole calls whose done items have no id, as harmony up to 0.31 sends them."""
    stream = Stream()
    for place in range(number):
        call = _made_call(place)
        stream.opened(kind="function_call", id_=call["id"], index=place, part=None)
        stream.deltas(
            [call["arguments"]], "function_call_arguments", {"item_id": call["id"], "output_index": place}
        )
        stream.event("response.output_item.done", output_index=place, item={**call, "id": None})
    return stream.ended()


def browser_calls(number: int) -> bytes:
    """Return browser calls that come as calls of an MCP server, and as searches in the final object."""
    stream = Stream()
    for place in range(number):
        stream.opened(kind="mcp_call", id_=f"b{place:05d}", index=place, part=None)
        stream.event(
            "response.output_item.done", output_index=place, item=item("mcp_call", f"b{place:05d}", "{}")
        )
        stream.event(
            "response.output_item.added",
            output_index=place,
            item=item("reasoning", f"r{place:05d}", status="in_progress"),
        )
    return stream.ended(item("web_search_call", f"w{place:05d}") for place in range(number))


def searches(number: int) -> bytes:
    """Return one search with so many progress events."""
    stream = Stream().opened(kind="web_search_call", id_="w", part=None)
    for _ in range(number):
        stream.event("response.web_search_call.searching", item_id="w", output_index=0)
    return stream.ended()


# Parts


def parts(number: int) -> bytes:
    """Return a message of so many parts."""
    stream = Stream().opened(part=None)
    for place in range(number):
        where = {**_MESSAGE, "content_index": place}
        stream.event("response.content_part.added", **where, part=text_part(""))
        stream.deltas([f"Part {place:05d}."], place=where)
        stream.event("response.content_part.done", **where, part=text_part(f"Part {place:05d}."))
    final = item("message", "x") | {"content": [text_part(f"Part {place:05d}.") for place in range(number)]}
    return stream.ended([final])


def summaries(number: int) -> bytes:
    """Return reasoning of so many summary parts."""
    stream = Stream().opened(kind="reasoning", part=None)
    for place in range(number):
        where = {"item_id": "m", "output_index": 0, "summary_index": place}
        part = text_part(f"Part {place:05d}.", "summary_text")
        stream.event("response.reasoning_summary_part.added", **where, part={**part, "text": ""})
        stream.deltas([part["text"]], "reasoning_summary_text", where)
        stream.event("response.reasoning_summary_part.done", **where, part=part)
    summary = [text_part(f"Part {place:05d}.", "summary_text") for place in range(number)]
    return stream.ended([item("reasoning", "x") | {"summary": summary}])


def repeated_parts(number: int) -> bytes:
    """Return one announcement of a part so many times, with text between."""
    stream = Stream().opened()
    for _ in range(number):
        stream.deltas([" w"]).event("response.content_part.added", **_MESSAGE, part=text_part(""))
    return stream.ended()


def annotated(number: int) -> bytes:
    """Return a message with so many annotations."""
    stream = Stream().opened().deltas(["text"])
    for place in range(number):
        note = {
            "type": "url_citation",
            "url": f"http://h/{place:05d}",
            "title": "t",
            "start_index": 0,
            "end_index": 1,
        }
        stream.event(
            "response.output_text.annotation.added", **_MESSAGE, annotation_index=place, annotation=note
        )
    return stream.ended()


def done_texts(number: int) -> bytes:
    """Return one text's done event so many times."""
    stream = Stream().opened().deltas(["text"])
    for _ in range(number):
        stream.event("response.output_text.done", **_MESSAGE, text="text")
    return stream.ended()


# Long values


def white_space(number: int) -> bytes:
    """Return an answer of white space, which the final object has with a special token."""
    return _texts("A" + " " * number + "B", "A<|x|>" + " " * number + "B")


def line_ends(number: int) -> bytes:
    """Return an answer that ends in line ends, and another final one."""
    return _texts("A" + "\n" * number, "B" + "\n" * number)


def special_tokens(number: int) -> bytes:
    """Return an answer of special tokens, of which the final object has none."""
    return _texts("A " + "<|x|> " * number + "B", "A B")


def broken_tokens(number: int) -> bytes:
    """Return an answer of beginnings of special tokens."""
    return _texts("A " + "<|x" * number + "B", "C " + "<|x" * number + "B")


def raw_calls(number: int) -> bytes:
    """Return a call, and a final answer that has it so many times as the text of a call."""
    raw = '<tool_call>{"name": "f", "arguments": {"a": "00000"}}</tool_call>'
    return _lives([_made_call(0)], [item("message", "x", "Text. " + raw * number)])


def broken_raw_calls(number: int) -> bytes:
    """Return a call, and a final answer of beginnings of calls."""
    return _lives([_made_call(0)], [item("message", "x", "Text. " + "<tool_call>" * number)])


def raw_json(number: int) -> bytes:
    """Return a call, and a final answer that has it as JSON, among so many brackets."""
    return _lives(
        [_made_call(0)], [item("message", "x", "[" * number + '{"name": "f", "parameters": {"a": "00000"}}')]
    )


def call_braces(number: int) -> bytes:
    """Return a call whose arguments end in so many braces too many."""
    call = _made_call(0)
    return _lives([{**call, "arguments": call["arguments"] + "}" * number}], [_renamed(call)])


def long_text(number: int) -> bytes:
    """Return an answer in one delta."""
    return _texts("w" * number, "w" * number)


def long_texts_that_differ(number: int) -> bytes:
    """Return an answer in one delta, whose final copy begins otherwise."""
    return _texts("w" * number, "v" + "w" * number)


def _texts(streamed: str, final: str) -> bytes:
    return _lives([item("message", "m", streamed)], [item("message", "x", final)])


def long_arguments(number: int) -> bytes:
    """Return a call of long arguments, which the final object has with other spaces."""
    text = json.dumps({"a": [10_000 + place for place in range(number)]})
    return _lives([item("function_call", "c", text)], [item("function_call", "x", text.replace(" ", ""))])


def wide_objects(number: int) -> bytes:
    """Return a response object with so many members, in each of its events."""
    return Stream(metadata={f"k{place:05d}": "v" for place in range(number)}).ended()


def nested_objects(number: int) -> bytes:
    """Return done items with objects in objects, each with a number that is not the event's."""
    deep: Json = {}
    for _ in range(100):
        deep = {"x": deep, "sequence_number": -1}
    stream = Stream()
    for place in range(number // 10):
        stream.event(
            "response.output_item.done", output_index=place, item={**_message(place), "vendor": deep}
        )
    return stream.ended()


def brackets_in_brackets(number: int) -> bytes:
    """Return one payload of lists in lists, deeper than anything may be: ten for each of the number."""
    nested = b"[" * 10 * number + b"]" * 10 * number
    return Stream().raw(b'data: {"type":"vendor","x":%b}\n\n' % nested).ended()


def tools(number: int) -> bytes:
    """Return a response object that echoes so many tools."""
    return Stream(tools=[{**TOOL, "name": f"f{place:05d}"} for place in range(number)]).ended()


def big_numbers(number: int) -> bytes:
    """Return numbers that no machine word holds."""
    return Stream().raw(b'data: {"type":"vendor","x":[%b]}\n\n' % b",".join([b"1" * 30] * number)).ended()


def surrogates(number: int) -> bytes:
    """Return a text of halves of characters, which JSON can say and UTF-8 cannot."""
    return Stream().opened().deltas(["\ud83d" * number]).ended()


# What is not an event of the response


def comments(number: int) -> bytes:
    """Return comments."""
    return Stream().opened().raw(b": ping\n\n" * number).ended()


def pings(number: int) -> bytes:
    """Return heartbeats that are events."""
    return Stream().opened().raw(b'event: response.ping\ndata: {"type":"response.ping"}\n\n' * number).ended()


def unknown_events(number: int) -> bytes:
    """Return events of a vendor, each of another type; and no two streams have one in common."""
    stream = Stream()
    for place in range(number):
        stream.event(f"vendor.{number:05d}.{place:05d}", text="t")
    return stream.ended()


def payloads_without_type(number: int) -> bytes:
    """Return payloads that are not events."""
    return Stream().raw(b"data: {}\n\ndata: x\n\n" * number).ended()


def unreadable_objects(number: int) -> bytes:
    """Return payloads that begin like an object and are not JSON."""
    return Stream().opened().raw(b"data: {x\n\n" * number).ended()


def objects_for_lenient_readers(number: int) -> bytes:
    """Return events that strict readers refuse."""
    return Stream().opened().raw(b'data: {"type":"v:x","n":NaN}\n\n' * number).ended()


def errors(number: int) -> bytes:
    """Return errors."""
    return Stream().raw(b'data: {"error":{"message":"boom"}}\n\n' * number).ended()


def openings(number: int) -> bytes:
    """Return the beginning of the response so many times."""
    stream = Stream()
    for _ in range(number):
        stream.event("response.in_progress", response={"id": "resp_1", "status": "in_progress", "output": []})
    return stream.ended()


def data_lines(number: int) -> bytes:
    """Return one event whose payload stands on so many lines."""
    lines = b"".join(b"data: \n" for _ in range(number))
    return Stream().raw(b'data: {"type":"vendor",\n' + lines + b'data: "x":1}\n\n').ended()


def line_ends_of_all_kinds(number: int) -> bytes:
    """Return deltas in frames with CR LF."""
    return unclosed_deltas(number).replace(b"\n", b"\r\n")


SHAPES: Final[dict[str, Callable[[int], bytes]]] = {
    shape.__name__: shape
    for shape in (
        deltas,
        unclosed_deltas,
        object_deltas,
        empty_deltas,
        less_than_signs,
        brackets,
        forced_white_space,
        deltas_with_logprobs,
        deltas_of_unknown_items,
        deltas_of_unknown_parts,
        interleaved_deltas,
        arguments,
        headless_arguments,
        doubled_deltas,
        fork_calls,
        held_text_call,
        messages,
        messages_with_new_ids,
        equal_messages,
        messages_that_differ,
        reasoning,
        calls,
        calls_with_new_ids,
        equal_calls,
        calls_that_differ,
        calls_in_the_other_order,
        final_messages,
        final_calls,
        final_messages_with_one_id,
        announcements,
        repeated_announcements,
        announcements_under_one_id,
        open_calls,
        done_items,
        done_calls_without_ids,
        browser_calls,
        searches,
        parts,
        summaries,
        repeated_parts,
        annotated,
        done_texts,
        white_space,
        line_ends,
        special_tokens,
        broken_tokens,
        raw_calls,
        broken_raw_calls,
        raw_json,
        call_braces,
        long_text,
        long_texts_that_differ,
        long_arguments,
        wide_objects,
        nested_objects,
        brackets_in_brackets,
        tools,
        big_numbers,
        surrogates,
        comments,
        pings,
        unknown_events,
        payloads_without_type,
        unreadable_objects,
        objects_for_lenient_readers,
        errors,
        openings,
        data_lines,
        line_ends_of_all_kinds,
    )
}
"""Every shape by its name."""
