"""Ways to damage a perfect turn: one function for each defect of the catalogue, in the form in which vLLM sends it.

Each takes the events of a turn and returns them damaged; a turn that has nothing to damage comes back as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.streams import message, reasoning

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.labs.clients.conversations import Turn
    from tests.support.streams import Json

ADDED, ITEM_DONE = "response.output_item.added", "response.output_item.done"
PART_ADDED, PART_DONE = "response.content_part.added", "response.content_part.done"
TEXT, THOUGHT, ARGUMENTS = (
    "response.output_text",
    "response.reasoning_text",
    "response.function_call_arguments",
)


def _copy(turn: Turn) -> Turn:
    """Return the turn with objects of its own: a done item and the same item of the final output are one object in it."""
    copied: Turn = json.loads(json.dumps(turn))
    return copied


def _index_of(turn: Turn, item_type: str) -> int | None:
    """Return the output_index of the first item of this type."""
    return next(
        (e["output_index"] for e in turn if e["type"] == ADDED and e["item"]["type"] == item_type), None
    )


def _last_index(turn: Turn) -> int:
    indexes: list[int] = [event["output_index"] for event in turn if event["type"] == ADDED]
    return max(indexes)


def _final(turn: Turn) -> Json:
    response: Json = turn[-1]["response"]
    return response


def _rename_item(event: Json, id_: object) -> Json:
    if "item" in event:
        return {**event, "item": {**event["item"], "id": id_}}
    return {**event, "item_id": id_} if "item_id" in event else event


def last_token_is_final(turn: Turn) -> Turn:
    """R04: the final output is a message with the last token."""
    turn = _copy(turn)
    last = [event["delta"] for event in turn if event["type"] == f"{TEXT}.delta"][-1:]
    _final(turn)["output"] = [message(0, *last, id_="msg_final")[1]] if last else []
    return turn


def empty_final_output(turn: Turn) -> Turn:
    """R04: the final output is empty, as the last delta was."""
    turn = _copy(turn)
    _final(turn)["output"] = []
    return turn


def growing_content_index(turn: Turn) -> Turn:
    """R05: every delta raises the content_index."""
    made, count = [], 0
    for event in turn:
        count = 0 if event["type"] == PART_ADDED else count + 1
        made.append({**event, "content_index": count} if "content_index" in event else event)
    return made


def content_index_not_reset(turn: Turn) -> Turn:
    """R06: the content_index of the second item goes on where that of the first stopped."""
    return [
        {**event, "content_index": event["output_index"]} if "content_index" in event else event
        for event in turn
    ]


def done_index_ahead(turn: Turn) -> Turn:
    """R07: done events carry the index of the next item."""
    return [
        {**event, "output_index": event["output_index"] + 1}
        if event["type"].endswith((".done",)) and "output_index" in event
        else event
        for event in turn
    ]


def done_index_ahead_no_ids(turn: Turn) -> Turn:
    """R07, R13: done events carry the index of the next item, and no event has an id."""
    return empty_item_ids(done_index_ahead(turn))


def message_announced_as_reasoning(turn: Turn) -> Turn:
    """R08: the message is announced with the id and index of the reasoning before it."""
    if _index_of(turn, "reasoning") is None:
        return turn
    return [
        {**event, "output_index": 0, "item": {**event["item"], "id": "rs_0"}}
        if event["type"] == ADDED and event["item"]["type"] == "message"
        else event
        for event in turn
    ]


def last_item_not_closed(turn: Turn) -> Turn:
    """R09a, R09c: the done events of the last item are missing, and the final output has other ids."""
    last = _last_index(turn)
    kept = [
        event for event in turn if not (event["type"].endswith(".done") and event.get("output_index") == last)
    ]
    return new_final_ids(kept)


def only_item_done_missing(turn: Turn) -> Turn:
    """R09d: output_item.done is missing, for every item."""
    return [event for event in turn if event["type"] != ITEM_DONE]


def message_unsent(turn: Turn) -> Turn:
    """R09e: a message is only in the final output."""
    index = _index_of(turn, "message")
    return [event for event in turn if index is None or event.get("output_index") != index]


def message_only_finished(turn: Turn) -> Turn:
    """R09e, before 0.25: a message without announcement and deltas, only finished."""
    index = _index_of(turn, "message")
    return [
        event
        for event in turn
        if index is None or event.get("output_index") != index or event["type"].endswith(".done")
    ]


def reasoning_part_not_closed(turn: Turn) -> Turn:
    """R09f: the part of the reasoning is not closed."""
    index = _index_of(turn, "reasoning")
    return [event for event in turn if event["type"] != PART_DONE or event["output_index"] != index]


def items_not_opened(turn: Turn) -> Turn:
    """R09: nothing is announced, neither items nor parts."""
    return [event for event in turn if event["type"] not in (ADDED, PART_ADDED)]


def nothing_opened_or_closed(turn: Turn) -> Turn:
    """R09: deltas only."""
    return [event for event in turn if "delta" in event or "response" in event]


def response_not_opened(turn: Turn) -> Turn:
    """R09, F01: response.created and response.in_progress are missing."""
    return turn[2:]


def message_under_another_id(turn: Turn) -> Turn:
    """R08: the message is sent under another id than it was announced with."""
    index = _index_of(turn, "message")
    return [
        _rename_item(event, "9f86d081")
        if event.get("output_index") == index and event["type"] != ADDED
        else event
        for event in turn
    ]


def end_only_final(turn: Turn) -> Turn:
    """R09, R10: the last item is not closed, and the end of its text is in the final output only."""
    last = _last_index(turn)
    of_last = [
        number
        for number, event in enumerate(turn)
        if "delta" in event and event.get("output_index") == last and event["type"] == f"{TEXT}.delta"
    ]
    if not of_last:
        return turn
    kept = turn[: of_last[-1]]
    return [*kept, turn[-1]]


def answer_under_reasoning(turn: Turn) -> Turn:
    """R10: the answer is not announced and comes under the reasoning's id; only its done item is right."""
    index = _index_of(turn, "message")
    if index is None or _index_of(turn, "reasoning") is None:
        return turn
    return [
        {**event, "item_id": "rs_0", "output_index": 0}
        if event.get("output_index") == index and "item_id" in event
        else event
        for event in turn
        if event.get("output_index") != index or event["type"] not in (ADDED, PART_ADDED)
    ]


def end_of_text_only_done(turn: Turn) -> Turn:
    """R10: the last delta of a text is missing; the done events have it."""
    made: Turn = []
    for event in turn:
        if event["type"].endswith(".done") and made and "delta" in made[-1]:
            made.pop()
        made.append(event)
    return made


def answer_in_reasoning_channel(turn: Turn) -> Turn:
    """R10: one step crosses from the reasoning to the answer, and the end of the reasoning comes as answer."""
    index = _index_of(turn, "reasoning")
    if index is None or _index_of(turn, "message") is None:
        return turn
    at = max(i for i, event in enumerate(turn) if event["type"] == f"{THOUGHT}.delta")
    first = next(i for i, event in enumerate(turn) if event["type"] == f"{TEXT}.delta")
    made = _copy(turn)
    made[first]["delta"] = made[at]["delta"] + made[first]["delta"]
    del made[at]
    return made


def new_final_ids(turn: Turn) -> Turn:
    """R11: ids and call_ids of the final output are new ones."""
    turn = _copy(turn)
    for item in _final(turn)["output"]:
        item["id"] = "other_" + item["id"]
        if "call_id" in item:
            item["call_id"] = "chatcmpl-tool-" + item["call_id"]
    return turn


def call_done_with_other_ids(turn: Turn) -> Turn:
    """R12 (0.14 to 0.23): the done call has no id, another call_id and fields of its event."""
    turn = _copy(turn)
    for event in turn:
        if event["type"] == ITEM_DONE and event["item"]["type"] == "function_call":
            item = event["item"]
            item.update(
                item_id=item["id"],
                call_id=f"fc_bb{event['output_index']}",
                output_index=event["output_index"],
                sequence_number=-1,
            )
            item["id"] = None
    return turn


def new_done_ids(turn: Turn) -> Turn:
    """R11: ids and call_ids of done items are new ones; so are those of the final output."""
    turn = new_final_ids(turn)
    for event in turn:
        if event["type"] == ITEM_DONE:
            item = event["item"]
            item["id"] = "done_" + item["id"]
            if "call_id" in item:
                item["call_id"] = "chatcmpl-tool-" + item["call_id"]
    return turn


def arguments_only_done(turn: Turn) -> Turn:
    """R12 (0.11.1 to 0.13): one step held all arguments of a call, and their only delta is lost."""
    return [event for event in turn if event["type"] != f"{ARGUMENTS}.delta"]


def call_announced_as_previous(turn: Turn) -> Turn:
    """R12 (0.11.1 to 0.13): announced with the id of the item before; the first arguments are lost in the deltas."""
    turn = call_done_with_other_ids(turn)
    previous, waiting = "", False
    made: Turn = []
    for event in turn:
        if event["type"] == ADDED:
            waiting = event["item"]["type"] == "function_call"
            made.append(_rename_item(event, previous) if waiting else event)
            previous = event["item"]["id"]
            continue
        if event["type"] == f"{ARGUMENTS}.delta" and waiting:
            waiting = False
            continue
        made.append(event)
    return made


def empty_item_ids(turn: Turn) -> Turn:
    """R13: every item_id and item.id is empty; the final output has ids."""
    return [_rename_item(event, "") for event in turn]


def nested_numbers(turn: Turn) -> Turn:
    """R14: the item of a call carries sequence_number -1 and an index."""
    return [
        {**event, "item": {**event["item"], "sequence_number": -1, "output_index": event["output_index"]}}
        if "item" in event and event["item"]["type"] == "function_call"
        else event
        for event in turn
    ]


def completed_though_incomplete(turn: Turn) -> Turn:
    """R15, R16: the limit cut the response, and the event and its item say completed."""
    turn = _copy(turn)
    turn[-1]["type"] = "response.completed"
    return item_completed_though_incomplete(turn)


def item_completed_though_incomplete(turn: Turn) -> Turn:
    """R16: the limit cut the response, and its item says completed."""
    turn = _copy(turn)
    for item in [*(event["item"] for event in turn if event["type"] == ITEM_DONE), *_final(turn)["output"]]:
        item["status"] = "completed"
    return turn


def limit_unreported(turn: Turn) -> Turn:
    """R43: the limit cut the response, and everything says completed."""
    turn = completed_though_incomplete(turn)
    _final(turn).update(status="completed", incomplete_details=None)
    return turn


def limit_unclosed(turn: Turn) -> Turn:
    """R48: the limit cut the response: it says completed, and only the final item, which nobody closed, is unfinished."""
    last = _last_index(turn)
    turn = _copy(limit_unreported(turn))
    item = _final(turn)["output"][-1]
    item["status"] = "in_progress" if item["type"] == "function_call" else "incomplete"
    for event in turn:
        if "response" in event:
            event["response"]["max_output_tokens"] = _final(turn)["usage"]["output_tokens"]
    return [e for e in turn if not (e["type"].endswith(".done") and e.get("output_index") == last)]


def cut_call_as_message(turn: Turn) -> Turn:
    """R36: a call that the limit cut closes as a message with the text of the item before it."""
    turn = completed_though_incomplete(turn)
    index = _index_of(turn, "function_call")
    *_, before, call = _final(turn)["output"]
    part = before["content"][0]
    place = {"item_id": call["id"], "output_index": index, "content_index": 1}
    closings: Turn = [
        {"type": f"{TEXT}.done", **place, "text": part["text"], "logprobs": []},
        {"type": PART_DONE, **place, "part": part},
        {"type": ITEM_DONE, "output_index": index, "item": {**before, "id": call["id"], "summary": []}},
    ]
    _final(turn)["output"].pop()
    kept = [event for event in turn[:-1] if event.get("output_index") != index or event["type"] == ADDED]
    return [*kept, *closings, turn[-1]]


def closed_as_empty_messages(turn: Turn) -> Turn:
    """R49: what stands before a call closes as an empty message, and a call's done event repeats those before it."""
    output = _final(turn)["output"]
    before_call = [i for i, item in enumerate(output[1:]) if item["type"] == "function_call"]
    made: Turn = []
    arguments = ""
    for event in _copy(turn):
        index = event.get("output_index")
        if index not in before_call or not event["type"].endswith(".done"):
            if event["type"] == f"{ARGUMENTS}.done":
                event["arguments"] = arguments + event["arguments"]
            made.append(event)
            continue
        if event["type"] != ITEM_DONE:
            continue
        item = event["item"]
        arguments += item.get("arguments", "")
        place = {"item_id": item["id"], "output_index": index, "content_index": 1}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        message_ = {"id": item["id"], "type": "message", "role": "assistant", "status": "completed"}
        made += [
            {"type": f"{TEXT}.done", **place, "text": "", "logprobs": []},
            {"type": PART_DONE, **place, "part": part},
            {"type": ITEM_DONE, "output_index": index, "item": {**message_, "content": [part]}},
        ]
    return made


def cut_call_unsent(turn: Turn) -> Turn:
    """R41: a call that the limit cut after its name has no more events, and is missing from the final output."""
    turn = completed_though_incomplete(turn)
    index = _index_of(turn, "function_call")
    _final(turn)["output"].pop()
    return [event for event in turn if event.get("output_index") != index or event["type"] == ADDED]


def reasoning_tail_in_message(turn: Turn) -> Turn:
    """R17: one delta has reasoning and answer: the reasoning's tail comes under the message, the answer's head is lost."""
    reasoning_, message_ = _index_of(turn, "reasoning"), _index_of(turn, "message")
    if reasoning_ is None or message_ is None:
        return turn
    made = _copy(turn)
    tail = max(i for i, event in enumerate(made) if event["type"] == f"{THOUGHT}.delta")
    event = made.pop(tail)
    for done in made:
        if done["type"] == f"{THOUGHT}.done":
            done["text"] = done["text"].removesuffix(event["delta"])
    head = next(i for i, one in enumerate(made) if one["type"] == f"{TEXT}.delta")
    made[head] = {**event, "output_index": message_, "item_id": made[head]["item_id"]}
    return made


def reasoning_tail_as_message(turn: Turn) -> Turn:
    """R17: one delta has reasoning and answer: the reasoning's tail is announced as a message and done as reasoning."""
    index = _index_of(turn, "reasoning")
    if index is None or _index_of(turn, "message") is None:
        return turn
    made = _copy(turn)
    at = max(i for i, event in enumerate(made) if event["type"] == f"{THOUGHT}.delta")
    tail = made.pop(at)["delta"]
    for event in made:
        if event.get("output_index") != index:
            continue
        if event["type"] == f"{THOUGHT}.done":
            event["text"] = event["text"].removesuffix(tail)
        elif event["type"] == PART_DONE:
            event["part"]["text"] = event["part"]["text"].removesuffix(tail)
        elif event["type"] == ITEM_DONE:
            event["item"]["content"][0]["text"] = event["item"]["content"][0]["text"].removesuffix(tail)
    close = next(i for i, e in enumerate(made) if e["type"] == ITEM_DONE and e["output_index"] == index)
    opening, closing = (
        message(index + 1, id_="859e832f")[0][:2],
        reasoning(index + 1, tail, id_="859e832f")[0][2:],
    )
    after = [
        {**e, "output_index": e["output_index"] + 1} if "output_index" in e else e for e in made[close + 1 :]
    ]
    return [*made[: close + 1], *opening, *closing, *after]


def empty_first_delta(turn: Turn) -> Turn:
    """R18 (to 0.20): an empty first delta opens a message, and the reasoning is streamed under it."""
    if _index_of(turn, "reasoning") is None:
        return turn
    opening = message(0, id_="rs_0")[0]
    return [
        {**opening[0]} if event["type"] == ADDED and event["output_index"] == 0
        else {**opening[1]} if event["type"] == PART_ADDED and event["output_index"] == 0
        else event
        for event in turn
    ]  # fmt: skip


def empty_reasoning_item(turn: Turn) -> Turn:
    """R18 (from 0.21): an empty reasoning item is opened and closed ahead of the answer."""
    if _index_of(turn, "reasoning") is not None or _index_of(turn, "message") is None:
        return turn
    events, _ = reasoning(0, id_="rs_empty")
    shifted = [{**e, "output_index": e["output_index"] + 1} if "output_index" in e else e for e in turn[2:]]
    return [*turn[:2], *events, *shifted]


def arguments_cut(turn: Turn) -> Turn:
    """R19: the last arguments are in the final output only."""
    turn = _copy(turn)
    made: Turn = []
    for event in turn:
        if event["type"] == f"{ARGUMENTS}.done":
            tail = made.pop()["delta"]
            event["arguments"] = event["arguments"].removesuffix(tail)
        elif event["type"] == ITEM_DONE and event["item"]["type"] == "function_call":
            event["item"]["arguments"] = made[-1]["arguments"]
        made.append(event)
    return made


def calls_unsent(turn: Turn) -> Turn:
    """R20: calls are in the final output only."""
    calls = {e["output_index"] for e in turn if e["type"] == ADDED and e["item"]["type"] == "function_call"}
    return [event for event in turn if event.get("output_index") not in calls]


def preamble_unsent(turn: Turn) -> Turn:
    """R21: the message before a call is in the final output only; indexes of what follows count without it."""
    index = _index_of(turn, "message")
    if index is None or _index_of(turn, "function_call") is None:
        return turn
    return [
        {**event, "output_index": event["output_index"] - 1}
        if event.get("output_index", -1) > index
        else event
        for event in turn
        if event.get("output_index") != index
    ]


def calls_as_text(turn: Turn) -> Turn:
    """R03: calls are streamed as text; the final output has them as calls."""
    calls = [item for item in _final(turn)["output"] if item["type"] == "function_call"]
    if not calls:
        return turn
    first = min(
        e["output_index"] for e in turn if e["type"] == ADDED and e["item"]["type"] == "function_call"
    )
    text = "".join(
        f'\n<tool_call>\n{{"name": "{one["name"]}", "arguments": {one["arguments"]}}}\n</tool_call>'
        for one in calls
    )
    pieces = [text[i : i + 7] for i in range(0, len(text), 7)]
    kept = [event for event in turn[:-1] if event.get("output_index", -1) < first]
    return [*kept, *message(first, *pieces)[0], turn[-1]]


def calls_as_text_unproven(turn: Turn) -> Turn:
    """R03 with R04 (0.10.2 to 0.13): calls are streamed as text, and the final output is empty."""
    damaged = calls_as_text(turn)
    return damaged if damaged is turn else empty_final_output(damaged)


def text_closed_empty(turn: Turn) -> Turn:
    """R35: the text before a call closes as empty."""
    index = _index_of(turn, "message")
    if index is None or _index_of(turn, "function_call") is None:
        return turn
    turn = _copy(turn)
    for event in turn:
        if event.get("output_index") != index:
            continue
        if event["type"] == f"{TEXT}.done":
            event["text"] = ""
        elif event["type"] == PART_DONE:
            event["part"]["text"] = ""
        elif event["type"] == ITEM_DONE:
            event["item"]["content"] = []
    return turn


def _forced_as_text(turn: Turn, text: Callable[[list[Json]], str], choice: object) -> Turn:
    """Return the turn with its calls streamed as this text of a message; the final output has them as calls."""
    calls = [item for item in _final(turn)["output"] if item["type"] == "function_call"]
    if not calls:
        return turn
    turn = _copy(turn)
    first = _index_of(turn, "function_call")
    assert first is not None
    streamed = text(calls)
    pieces = [streamed[i : i + 5] for i in range(0, len(streamed), 5)]
    kept = [event for event in turn[:-1] if event.get("output_index", -1) < first]
    made = [*kept, *message(first, *pieces)[0], turn[-1]]
    for event in made:
        if "response" in event:
            event["response"]["tool_choice"] = choice
    return made


def required_calls_as_text(turn: Turn) -> Turn:
    """R37: calls that `tool_choice: required` forces are streamed as the JSON list that the model writes."""

    def text(calls: list[Json]) -> str:
        forced = [{"name": one["name"], "parameters": json.loads(one["arguments"])} for one in calls]
        return json.dumps(forced)

    return _forced_as_text(turn, text, "required")


def named_call_as_text(turn: Turn) -> Turn:
    """R37: a call that a named `tool_choice` forces is streamed as its bare arguments."""
    return _forced_as_text(
        turn, lambda calls: str(calls[0]["arguments"]), {"type": "function", "name": "get_weather"}
    )


def blank_message_not_final(turn: Turn) -> Turn:
    """R38: a message of white space is missing from the final output."""
    turn = _copy(turn)
    output = _final(turn)["output"]
    output[:] = [item for item in output if item["type"] != "message" or item["content"][0]["text"].strip()]
    return turn


def call_is_text_at_last(turn: Turn) -> Turn:
    """R39: a call that was streamed is a message with its raw text in the final output."""
    turn = _copy(turn)
    calls = [item for item in _final(turn)["output"] if item["type"] == "function_call"]
    if not calls:
        return turn
    raw = "\n".join(
        f'<tool_call>\n{{"name": "{one["name"]}", "arguments": {one["arguments"]}}}\n</tool_call>'
        for one in calls
    )
    kept = [item for item in _final(turn)["output"] if item["type"] != "function_call"]
    _final(turn)["output"] = [*kept, message(0, raw, id_="msg_raw")[1]]
    return turn


def calls_are_reasoning_at_last(turn: Turn) -> Turn:
    """R45: without reasoning, the final output is reasoning with the raw call; words after it are streamed nowhere."""
    calls = [item for item in _final(turn)["output"] if item["type"] == "function_call"]
    if not calls:
        return turn
    turn = _copy(turn)
    raw = "".join(
        f'<tool_call>\n{{"name": "{one["name"]}", "arguments": {one["arguments"]}}}\n</tool_call>'
        for one in calls
    )
    words = "".join(
        item["content"][0]["text"] for item in _final(turn)["output"] if item["type"] == "message"
    )
    _final(turn)["output"] = [{**reasoning(0, raw + words, id_="rs_ff")[1], "status": None}]
    index = _index_of(turn, "message")
    return [event for event in turn if index is None or event.get("output_index") != index]


def final_white_space(turn: Turn) -> Turn:
    """R46: the final output has white space before the answer and the end token after it."""
    turn = new_final_ids(turn)
    for item in _final(turn)["output"]:
        if item["type"] == "message":
            item["content"][0]["text"] = f"\n\n{item['content'][0]['text']}<|im_end|>"
    return turn


def mcp_tool_renamed_at_last(turn: Turn) -> Turn:
    """R47: the tool of an MCP server has another name in the final output."""
    turn = new_final_ids(turn)
    for item in _final(turn)["output"]:
        if item["type"] == "mcp_call":
            item["name"] = item["name"].partition(".")[2]
    return turn


def message_is_reasoning_at_last(turn: Turn) -> Turn:
    """R40: the message that was streamed is reasoning in the final output."""
    turn = _copy(turn)
    _final(turn)["output"] = [
        {**reasoning(0, item["content"][0]["text"], id_="rs_ff")[1], "status": None}
        for item in _final(turn)["output"]
    ]
    return turn


def final_reasoning_without_status(turn: Turn) -> Turn:
    """R42: reasoning has no status in the final output, and new ids."""
    turn = new_final_ids(turn)
    for item in _final(turn)["output"]:
        if item["type"] == "reasoning":
            item["status"] = None
    return turn


def search_shares_index(turn: Turn) -> Turn:
    """R22 (0.10 to 0.13): the search and the item after it have one index."""
    index = _index_of(turn, "web_search_call")
    return [
        {**event, "output_index": event["output_index"] - 1}
        if index is not None and event.get("output_index", -1) > index
        else event
        for event in turn
    ]


def search_sent_twice(turn: Turn) -> Turn:
    """R22 (0.25, open): the search is sent as an mcp_call as well, on the same index."""
    index = _index_of(turn, "web_search_call")
    if index is None:
        return turn
    place = {"item_id": "mcp_1", "output_index": index}
    item = {
        "id": "mcp_1", "type": "mcp_call", "name": "browser.search", "server_label": "browser.search",
        "arguments": "", "status": "in_progress",
    }  # fmt: skip
    at = next(i for i, event in enumerate(turn) if event["type"] == ADDED and event["output_index"] == index)
    twin: Turn = [
        {"type": ADDED, "output_index": index, "item": item},
        {"type": "response.mcp_call.in_progress", **place},
        {"type": "response.mcp_call_arguments.delta", **place, "delta": '{"query": "q"}'},
        {"type": "response.mcp_call_arguments.done", **place, "arguments": '{"query": "q"}'},
        {"type": "response.mcp_call.completed", **place},
        {
            "type": ITEM_DONE,
            "output_index": index,
            "item": {**item, "arguments": '{"query": "q"}', "status": "completed"},
        },
    ]
    return [*turn[:at], *twin, *turn[at:]]


def python_is_reasoning_at_last(turn: Turn) -> Turn:
    """R23: a code interpreter call is a reasoning item in the final output."""
    turn = _copy(turn)
    output = _final(turn)["output"]
    for position, item in enumerate(output):
        if item["type"] == "code_interpreter_call":
            output[position] = {**reasoning(0, item["code"], id_="rs_ff")[1], "status": None}
    return turn


def private_part_names(turn: Turn) -> Turn:
    """R24: parts of the reasoning have private names."""
    return [
        {**event, "type": event["type"].replace("content_part", "reasoning_part")}
        if event.get("part", {}).get("type") == "reasoning_text"
        else event
        for event in turn
    ]


def reasoning_opened_as_text(turn: Turn) -> Turn:
    """R25: the reasoning opens with an output_text part, which is never closed."""
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return [
        {**event, "part": part} if event.get("part", {}).get("type") == "reasoning_text" else event
        for event in turn
        if event["type"] != PART_DONE or event["part"]["type"] != "reasoning_text"
    ]


def schema_alias(turn: Turn) -> Turn:
    """R26: the schema of the text format is called `schema_`."""
    turn = _copy(turn)
    for event in turn:
        if "response" in event:
            event["response"]["text"] = {
                "format": {
                    "type": "json_schema",
                    "name": "answer",
                    "schema_": {"type": "object"},
                    "strict": True,
                }
            }
    return turn


def poor_response(turn: Turn) -> Turn:
    """R27: the response lacks fields, has nulls for objects and fields of its own; items have nulls for lists."""
    turn = _copy(turn)
    for event in turn:
        if "response" in event:
            response = event["response"]
            for name in ("error", "store"):
                response.pop(name, None)
            response.update(
                metadata=None, text=None, reasoning=None, top_logprobs=None, kv_transfer_params=None
            )
        for item in [event["item"]] if "item" in event else event.get("response", {}).get("output", []):
            if item["type"] == "reasoning" and not item["content"]:
                item["content"] = None
            for part in item.get("content") or []:
                if part["type"] == "output_text":
                    part["logprobs"] = None
            if item["type"] == "message":
                item["summary"], item["phase"] = [], None
    return turn


def no_logprobs(turn: Turn) -> Turn:
    """R28: logprobs are missing, or null."""
    turn = _copy(turn)
    for event in turn:
        event.pop("logprobs", None)
        if event.get("part", {}).get("type") == "output_text":
            event["part"]["logprobs"] = None
    return turn


def usage_without_details(turn: Turn) -> Turn:
    """R32: the usage lacks what its details must hold."""
    turn = _copy(turn)
    _final(turn)["usage"].update(input_tokens_details={}, output_tokens_details={})
    return turn


def no_usage(turn: Turn) -> Turn:
    """R32: no usage at all."""
    turn = _copy(turn)
    _final(turn)["usage"] = None
    return turn


def negative_numbers(turn: Turn) -> Turn:
    """R31: every sequence_number is -1."""
    return [{**event, "sequence_number": -1} for event in turn]


def no_numbers(turn: Turn) -> Turn:
    """R31: there is no sequence_number."""
    return [{**event, "sequence_number": None} for event in turn]


def repeated_numbers(turn: Turn) -> Turn:
    """R31: numbers begin again in the middle, and have gaps."""
    return [{**event, "sequence_number": (3 * number) % 7} for number, event in enumerate(turn)]


def logprobs_not_done(turn: Turn) -> Turn:
    """R28: deltas have logprobs, done events have none."""
    turn = _copy(turn)
    for event in turn:
        if event["type"] == f"{TEXT}.delta":
            event["logprobs"] = [{"token": event["delta"], "logprob": -0.5, "top_logprobs": []}]
    return turn


def custom_input_again(turn: Turn) -> Turn:
    """R33: a custom tool's input is sent again in full as one more delta."""
    made: Turn = []
    for event in turn:
        if event["type"] == "response.custom_tool_call_input.done":
            made.append({**made[-1], "delta": event["input"]})
        made.append(event)
    return made


def namespace_in_name(turn: Turn) -> Turn:
    """R50: a call's name holds its namespace (`mcp__desk__get_weather`)."""
    turn = _copy(turn)
    names: dict[str, str] = {}
    for item in (*(event["item"] for event in turn if "item" in event), *_final(turn)["output"]):
        if "namespace" in item:
            names[item["name"]] = f"{item.pop('namespace')}__{item['name']}"
            item["name"] = names[item["name"]]
    for event in turn:
        if event["type"] == f"{ARGUMENTS}.done":
            event["name"] = names.get(event["name"], event["name"])
    return turn


def custom_as_function(turn: Turn) -> Turn:
    """R51: the call of a custom tool is a function call with its input as JSON."""
    turn = _copy(turn)
    kind = "response.custom_tool_call_input"
    made: Turn = []
    for event in turn:
        for item in (event.get("item"), *event.get("response", {}).get("output", ())):
            if item and item["type"] == "custom_tool_call":
                text = item.pop("input")
                arguments = json.dumps({"input": text}) if event["type"] != ADDED else ""
                item |= {"type": "function_call", "arguments": arguments}
        if event["type"] == f"{kind}.done":
            arguments = json.dumps({"input": event.pop("input")})
            event |= {"type": f"{ARGUMENTS}.done", "arguments": arguments, "name": "note"}
            made.append({**event, "type": f"{ARGUMENTS}.delta", "delta": '"}'})
            del made[-1]["arguments"], made[-1]["name"]
        elif event["type"] == f"{kind}.delta":
            is_first = made[-1]["type"] == ADDED
            words = json.dumps(event["delta"])[1:-1]
            event |= {"type": f"{ARGUMENTS}.delta", "delta": '{"input": "' * is_first + words}
        made.append(event)
    return made


def call_repeated(turn: Turn) -> Turn:
    """R52: the last call comes once more, under a new item id."""
    ids = [event["item"]["id"] for event in turn if event["type"] == ITEM_DONE and "call_id" in event["item"]]
    again = [
        event
        for event in _copy(turn)
        if {event.get("item_id"), event.get("item", {}).get("id")} & {*ids[-1:]}
    ]
    for event in again:
        event["output_index"] += 1
        if "item" in event:
            event["item"]["id"] = "fc_again"
        else:
            event["item_id"] = "fc_again"
    return [*turn[:-1], *again, turn[-1]]


def object_deltas(turn: Turn) -> Turn:
    """F01: a delta is an object with the text in `content`."""
    return [{**event, "delta": {"content": event["delta"]}} if "delta" in event else event for event in turn]


def part_list_deltas(turn: Turn) -> Turn:
    """F01: the delta of a text is a message with a list of parts."""
    return [
        {
            **event,
            "delta": {"role": "assistant", "content": [{"type": "output_text", "text": event["delta"]}]},
        }
        if event["type"] == f"{TEXT}.delta"
        else event
        for event in turn
    ]


def fork_reasoning(turn: Turn) -> Turn:
    """F01: the fork's own events for reasoning: object deltas, no ids, no indexes, no item, no closing of the item."""
    index = _index_of(turn, "reasoning")
    if index is None:
        return turn
    id_ = {"response": {"id": turn[0]["response"]["id"]}}
    made: Turn = []
    for event in turn:
        if event.get("output_index") != index:
            made.append(event)
        elif event["type"] == f"{THOUGHT}.delta":
            made.append({"type": "response.reasoning.delta", **id_, "delta": {"content": event["delta"]}})
        elif event["type"] == f"{THOUGHT}.done":
            made.append({"type": "response.reasoning.done", **id_, "reasoning": {"content": event["text"]}})
    return made


def fork_bare_events(turn: Turn) -> Turn:
    """F01: deltas carry the response's id in place of item_id and indexes, and nothing else is sent."""
    id_ = {"response": {"id": turn[0]["response"]["id"]}}
    return [
        {"type": event["type"], **id_, "delta": event["delta"]} if "delta" in event else event
        for event in turn
        if "delta" in event or "response" in event
    ] if _index_of(turn, "function_call") is None and _index_of(turn, "custom_tool_call") is None else turn  # fmt: skip


def _fork_calls(turn: Turn, delta: Callable[[Json], list[object]], *, extra: bool = False) -> Turn:
    calls = {e["output_index"] for e in turn if e["type"] == ADDED and e["item"]["type"] == "function_call"}
    if not calls:
        return turn
    id_ = {"response": {"id": turn[0]["response"]["id"]}}
    made: Turn = []
    for event in turn:
        if event.get("output_index") not in calls:
            made.append(event)
            continue
        if extra:
            made.append(event)
        if event["type"] == ITEM_DONE:
            item = event["item"]
            one = {"type": "tool_call", "id": item["call_id"], "call_id": item["call_id"], "name": item["name"],
                    "arguments": item["arguments"], "status": "completed"}  # fmt: skip
            made += [{"type": "response.tool_call.delta", **id_, "delta": one} for one in delta(one)]
    return made


def fork_call_objects(turn: Turn) -> Turn:
    """F01: a call comes as `response.tool_call.delta` only, as an object."""
    return _fork_calls(turn, lambda one: [{"content": [one]}])


def fork_call_text(turn: Turn) -> Turn:
    """F01: a call comes as `response.tool_call.delta` only, as the text of a list."""
    return _fork_calls(turn, lambda one: [json.dumps([one])])


def fork_call_slices(turn: Turn) -> Turn:
    """F01: a call comes as `response.tool_call.delta` only, as slices of the text of a list."""

    def slices(one: Json) -> list[object]:
        text = json.dumps([one])
        return [{"content": [text[i : i + 20]]} for i in range(0, len(text), 20)]

    return _fork_calls(turn, slices)


def fork_call_twice(turn: Turn) -> Turn:
    """F01: a call comes as `response.tool_call.delta` and as the protocol's events."""
    return _fork_calls(turn, lambda one: [json.dumps([one])], extra=True)


def fork_doubled(turn: Turn) -> Turn:
    """F01: every delta of the reasoning comes again under a private name."""
    id_ = {"response": {"id": turn[0]["response"]["id"]}}
    made: Turn = []
    for event in turn:
        made.append(event)
        if event["type"] == f"{THOUGHT}.delta":
            made.append({"type": "response.reasoning.delta", **id_, "delta": {"content": event["delta"]}})
    return made


def annotation_without_index(turn: Turn) -> Turn:
    """F01: an annotation has no annotation_index."""
    return [{k: v for k, v in event.items() if k != "annotation_index"} for event in turn]


def fork_pings(turn: Turn) -> Turn:
    """F01: heartbeats are events, with the number of the event after them."""
    made: Turn = []
    for number, event in enumerate(turn):
        if number % 3 == 1:
            ping = {"type": "response.ping", "timestamp": 1715875000.12, "response": {}}
            made.append({**ping, "sequence_number": number})
        made.append({**event, "sequence_number": number})
    return made


def fork_notices(turn: Turn) -> Turn:
    """F01: private notices between the events."""
    notices = ("response.rate_limits.updated", "response.additional_context")
    return [
        *turn[:2],
        *({"type": name, "response": {"id": turn[0]["response"]["id"]}} for name in notices),
        *turn[2:],
    ]


def no_ids(turn: Turn) -> Turn:
    """F01: deltas and done events have no item_id and no indexes."""
    return [
        {k: v for k, v in event.items() if k not in ("item_id", "output_index", "content_index")}
        if "item_id" in event
        else event
        for event in turn
    ]


def new_response_ids(turn: Turn) -> Turn:
    """P02: every event has another response id."""
    turn = _copy(turn)
    for number, event in enumerate(turn):
        if "response" in event:
            event["response"]["id"] = f"resp_x{number}"
    return turn


def repeated_announcements(turn: Turn) -> Turn:
    """R08, R22: every item is announced twice."""
    return [event for event in turn for _ in range(2 if event["type"] == ADDED else 1)]


def done_after_terminal(turn: Turn) -> Turn:
    """R09: the done items come after the terminal event."""
    late = [event for event in turn if event["type"] == ITEM_DONE]
    return [*(event for event in turn if event["type"] != ITEM_DONE), *late]


def two_terminals(turn: Turn) -> Turn:
    """Duplicates: the terminal event comes twice."""
    return [*turn, turn[-1]]


def call_without_id(turn: Turn) -> Turn:
    """R12: a call is announced and done without a call_id; the final output has it."""
    turn = _copy(turn)
    for event in turn:
        if event.get("item", {}).get("type") == "function_call":
            event["item"]["call_id"] = None
    return turn


def object_arguments(turn: Turn) -> Turn:
    """F01: the arguments of done calls are objects."""
    turn = _copy(turn)
    for event in turn:
        for item in (
            [event["item"]] if event["type"] == ITEM_DONE else event.get("response", {}).get("output", [])
        ):
            if item["type"] == "function_call":
                item["arguments"] = json.loads(item["arguments"])
        if event["type"] == f"{ARGUMENTS}.done":
            event["arguments"] = json.loads(event["arguments"])
    return turn


def call_status_missing(turn: Turn) -> Turn:
    """R12, R27: a done call has no status."""
    turn = _copy(turn)
    for event in turn:
        for item in (
            [event["item"]] if event["type"] == ITEM_DONE else event.get("response", {}).get("output", [])
        ):
            if item["type"] == "function_call":
                item["status"] = None
    return turn
