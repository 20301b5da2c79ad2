"""What the proxy must not do to any stream, in words that do not depend on how it repairs.

Each function compares what upstream sent with what the client got, and returns what is wrong, a line for each. Damage may have
made upstream contradict itself: then the client may get any of its versions, but not two of one thing.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tests.properties.said import (
    CALLS,
    Said,
    arguments_of,
    bare,
    completed_calls,
    is_call,
    tool_of,
    tools_in,
)

if TYPE_CHECKING:
    from tests.properties.clients import Outcome

Json = dict[str, Any]

SHORTEST: Final = 6
"""Characters of a text that two texts have in common by more than chance."""
UNFINISHED: Final = ("incomplete", "in_progress", "failed")
_NO_COMPLETED_EVENT: Final = "RuntimeError: Didn't receive a `response.completed` event."
"""What openai-python's helper says of a stream that ends as failed or incomplete."""


def calls_made_up(upstream: Said, client: Said) -> list[str]:
    """Return calls that a client runs and nobody made, and calls that it runs more often than they were made.

    Somebody who reads upstream's stream, or its final object where the stream has no calls, runs so many calls of a tool, and
    each with such arguments.
    """
    if "response.tool_call.delta" in upstream.types:  # a fork's own form, which is not read here
        return []
    calls = completed_calls(client)
    wrong = [
        f"{count} calls of {tool!r}, upstream made {upstream.calls_of(tool)}"
        for tool, count in tools_in(calls).items()
        if count > upstream.calls_of(tool)
    ]
    for (tool, arguments), count in Counter((tool_of(call), arguments_of(call)) for call in calls).items():
        most = max(source.holds(tool, arguments) for source in upstream.sources)
        if count > most and _can_run(client, tool):
            wrong.append(f"{count} calls {tool}({arguments:.60}), upstream made {most}")
    return wrong


def _can_run(client: Said, tool: str) -> bool:
    """Return whether the request has a tool of this name, by its echo: nobody runs a name that was cut (0.18.1)."""
    response = (client.terminal or {}).get("response")
    tools = response.get("tools") if isinstance(response, dict) else None
    return not tools or any(tool.endswith(tool_of(one)) for one in tools) or "namespace" in str(tools)


def half_calls(upstream: Said, client: Said) -> list[str]:
    """Return calls that a client runs though upstream neither closed them nor had them in its final object, and they are half.

    Of the input of a custom tool nobody can say whether it is half: what its own done event said is whole, too. Of a half call
    that upstream closed, its deltas or its done event may say more than the rest.
    """
    made = [call for call in upstream.done if call.get("status") != "incomplete"]
    made += [
        item for item in upstream.final or () if is_call(item) and item.get("status") not in UNFINISHED[:2]
    ]
    known = {(tool_of(call), arguments_of(call)) for call in made}
    halves = {tool_of(call) for call in made if not _is_whole(call)}

    def is_upstreams(call: Json) -> bool:
        tool, arguments = tool_of(call), arguments_of(call)
        sources = [upstream.texts_done] if "input" in call else []
        sources += [upstream.texts_done, upstream.deltas] if tool in halves else []
        return (tool, arguments) in known or any(source.holds(tool, arguments) for source in sources)

    return [
        f"half a call of {tool_of(call)!r}: {call.get(CALLS[call['type']])!r:.80}"
        for call in completed_calls(client)
        if not _is_whole(call) and not is_upstreams(call) and _can_run(client, tool_of(call))
    ]


def _is_whole(call: Json) -> bool:
    """Return whether the arguments of a function are an object."""
    try:
        return call["type"] == "function_call" and isinstance(json.loads(call["arguments"]), dict)
    except (KeyError, TypeError, ValueError):
        return False


def texts_twice(upstream: Said, client: Said) -> list[str]:
    """Return texts that a client gets more often than upstream has them in any one place.

    A text is one part of an item, whole. Pieces that are equal may make up one: what was lost of it comes late. An answer that
    begins with all of an earlier one is that one again, unless upstream has both.
    """
    texts = [(kind, text) for kind, text in client.finals.texts if bare(text)]
    wrong = []
    for text, count in Counter(bare(text) for _, text in texts).items():
        most = max(source.times(text) or source.times_in_part(text) for source in upstream.sources)
        if client.types[-1] == "response.failed":  # where texts break off
            most = max(most, *(source.times_begun(text) for source in upstream.sources))
        if any(source.times(text * count) for source in upstream.sources):
            most = count
        if count > max(most, 1):
            wrong.append(f"{text!r:.60} comes {count} times, upstream has it {most} times")
    answers = [text for kind, text in texts if kind == "answer"]
    for place, first in enumerate(answers):
        for later in answers[place + 1 :]:
            begun = later.lstrip().startswith(first.lstrip()) and later.strip() != first.strip()
            if begun and len(first.strip()) >= SHORTEST and not _has_both(upstream, first, later):
                wrong.append(f"{later!r:.60} comes after {first!r:.60}")
    return wrong


def _has_both(upstream: Said, first: str, later: str) -> bool:
    """Return whether upstream has both texts in one place, two there that begin with the first, or one that both make up."""
    begun = max(
        sum(bare(text).startswith(bare(first)) for _, text in source.texts) for source in upstream.sources
    )
    whole = bare(first + later)
    return begun > 1 or any(
        source.times(whole) or (source.times(bare(first)) and source.times(bare(later)))
        for source in upstream.sources
    )


def copies_that_differ(client: Said) -> list[str]:
    """Return calls that are run by who reads the final object and not by who reads the stream, or the reverse.

    A call that upstream closed in the middle is half in the stream; who runs it from the final object gets all of it (R19).
    Half are arguments that are not an object, and an input with which a final one begins.
    """
    final = [item for item in client.final or () if is_call(item) and item.get("status") != "incomplete"]
    streamed = completed_calls(client)
    if tools_in(final) != tools_in(streamed):
        return [f"streamed {dict(tools_in(streamed))}, final {dict(tools_in(final))}"]
    whole = [call for call in streamed if _is_whole(call) or ("input" in call and not _is_begun(call, final))]
    left = Counter((tool_of(item), arguments_of(item)) for item in final)
    left.subtract((tool_of(call), arguments_of(call)) for call in whole)
    return [f"{call} is streamed, and not in the final object" for call, count in left.items() if count < 0]


def _is_begun(call: Json, final: list[Json]) -> bool:
    """Return whether a final call of the same tool goes on where the input of this one ends."""
    return any(
        tool_of(item) == tool_of(call)
        and str(item.get("input")).startswith(call["input"])
        and item["input"] != call["input"]
        for item in final
    )


def failures_made(upstream: Said, before: Outcome, client: Said, after: Outcome) -> list[str]:
    """Return why openai-python's helper fails though it did not before, and upstream did not say that the response failed.

    :param before: what the helper makes of upstream's own bytes.
    """
    wrong = []
    is_reported = "error" in client.types or client.types[-1:] != ["response.completed"]
    if after.error is not None and not is_reported:
        wrong.append(f"the helper raises {after.error}")
    if after.error not in (None, _NO_COMPLETED_EVENT) and "error" not in client.types:
        wrong.append(f"the helper raises {after.error}")
    if before.response is not None and is_completed(upstream) and after.response is None:
        wrong.append(f"the helper had a response, and now raises {after.error}")
    return list(dict.fromkeys(wrong))


def is_completed(upstream: Said) -> bool:
    """Return whether upstream says that the response is completed, and nothing that it says speaks against it."""
    if (
        upstream.terminal is None
        or upstream.terminal["type"] != "response.completed"
        or "error" in upstream.types
    ):
        return False
    said: Any = upstream.terminal.get("response")
    response: Json = said if isinstance(said, dict) else {}
    if response.get("status") in ("incomplete", "failed", "cancelled"):
        return False
    final = upstream.final or []
    last = [items[-1].get("status") for items in (upstream.items, final) if items]
    halves = [call for call in (*upstream.done, *filter(is_call, final)) if not _is_whole(call)]
    return not (
        _is_spent(response) or any(status in UNFINISHED for status in last) or upstream.open_calls or halves
    )


def _is_spent(response: Json) -> bool:
    usage, limit = response.get("usage"), response.get("max_output_tokens")
    spent = usage.get("output_tokens") if isinstance(usage, dict) else None
    return type(spent) is int and type(limit) is int and spent >= limit
