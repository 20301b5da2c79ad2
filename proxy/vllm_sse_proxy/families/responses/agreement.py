"""What upstream says of an item, compared with what was emitted of it: whether they agree, and what the account adds.

Two sources can describe the same thing: the events that were emitted, and upstream's own *account* (a done item, or an item of
the final output). What was emitted wins, because the client has it already; an account adds what the deltas cannot carry, and
text that continues the emitted text. The one exception is :func:`supersedes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses import grammar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.responses.grammar import TextRun
    from vllm_sse_proxy.families.responses.view import ItemView, PartView
    from vllm_sse_proxy.stream.event import Body

NAMES: Final = ("id", "type", "name", "call_id", "role", "phase")
"""Fields that identify an item: they may not change between its announcement and its closing."""
_FREE: Final = frozenset({"encrypted_content", "fingerprint", "sequence_number"})
"""Fields that may differ between the done item and the final one in OpenAI's own streams."""
STREAMED: Final = frozenset(
    {*NAMES, "status", "content", "summary", "text", "refusal", "arguments", "input", "code"}
)
"""Fields that are complete once an item is closed: the final item cannot add to them."""


def is_as_emitted(item: ItemView, said: Mapping[str, Any]) -> bool:
    """Return whether upstream's done item agrees with what was emitted of it: its names, its parts, its text."""
    names = (*NAMES, *item.kind.required) if item.type in grammar.ITEM_KINDS else NAMES[:2]
    if item.item.get("call_id") is not None and said.get("call_id") != item.item["call_id"]:
        return False
    if any(said.get(name) != item.item.get(name) for name in names):
        return False
    own = item.own
    if own is not None and own.run is not None and (own.text or said.get(own.run.field)):
        return bool(said.get(own.run.field) == own.text)
    if item.kind is grammar.MESSAGE or item.kind is grammar.REASONING:
        return _are_as_emitted(item.parts, said.get("content")) and _are_as_emitted(
            item.summaries, said.get("summary")
        )
    return True


def _are_as_emitted(emitted: list[PartView], said: object) -> bool:
    parts = [part.part for part in emitted]
    known = said if isinstance(said, list) else []
    return parts == known or says_the_same(parts, known)


def says_the_same(emitted: object, said: object) -> bool:
    """Return whether ``said`` repeats what was emitted; it may fill in what was empty, as OpenAI's own final items do."""
    if isinstance(emitted, list) and isinstance(said, list):
        return len(emitted) == len(said) and all(map(says_the_same, emitted, said))
    if isinstance(emitted, dict) and isinstance(said, dict):
        for name in {**emitted, **said}:
            one, other = emitted.get(name), said.get(name)
            if one is other or name in _FREE or _is_addition(name, one, other):
                continue
            if not says_the_same(one, other):
                return False
        return True
    return emitted == said


def _is_addition(name: str, emitted: object, said: object) -> bool:
    return is_nothing(emitted) and (is_nothing(said) or name not in STREAMED)


def is_nothing(value: object) -> bool:
    """Return whether a value says nothing: null, or an empty string, list or object."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def is_part_as_emitted(part: PartView, said: Mapping[str, Any]) -> bool:
    """Return whether upstream's closing of a part agrees with what was emitted of it."""
    if part.logprobs and not said.get("logprobs"):
        return False
    if part.run is grammar.OUTPUT_TEXT and said.get("annotations") != part.annotations:
        return False
    return said["type"] == part.type and (part.run is None or said.get(part.run.field) == part.text)


def supersedes(said: str, emitted: str) -> bool:
    """Return whether a call's final arguments replace those that its deltas added up to.

    Arguments are executed, not displayed: a done event that contradicts its deltas is better than a tool that runs with half
    of its arguments (R12: first delta lost; R33: input sent again in full). Arguments that differ only in white space or in
    the order of their members are the same (F01: the fork's done events hold an object). Of what cannot be read, the beginning
    alone is worth less than the whole.
    """
    if not said or said.startswith(emitted):
        return False
    if not are_arguments(said):
        return not are_arguments(emitted) and not emitted.startswith(said)
    return canonical_json(said) != canonical_json(emitted)


def canonical_json(text: str) -> bytes | None:
    """Return bytes that are equal for texts that hold the same JSON; None for a text that is not JSON."""
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested deeper than orjson writes, and not deeper than it reads
        return text.encode()
    except (ValueError, UnicodeEncodeError):
        return None


def are_arguments(text: str) -> bool:
    """Return whether a text is what a function can be run with: a JSON object. What was cut, or lost a piece, is not."""
    try:
        return type(orjson.loads(text)) is dict
    except (ValueError, UnicodeEncodeError):
        return False


def tail(emitted: str, proven: object) -> str:
    """Return what a proven text adds to the end of the emitted one; empty if it does not continue it."""
    if isinstance(proven, str) and len(proven) > len(emitted) and proven.startswith(emitted):
        return proven[len(emitted) :]
    return ""


def missing_end(run: TextRun, emitted: str, proven: object) -> str:
    """Return what a proven text adds to the end of an emitted one; arguments that can be read are whole (issue 12, K6).

    A brace too many makes them unreadable (R49).
    """
    missing = tail(emitted, proven)
    if missing and run.is_json and are_arguments(emitted) and not are_arguments(emitted + missing):
        return ""
    return missing


def accounts_of(emitted: list[PartView], said: object) -> dict[int, object]:
    """Return, for the index of an emitted part, the account's part of the same type with the same rank among that type."""
    waiting: dict[str, list[Body]] = {}
    for part in reversed(said if isinstance(said, list) else []):
        if isinstance(part, dict) and isinstance(part.get("type"), str):
            waiting.setdefault(part["type"], []).append(part)
    accounts: dict[int, object] = {}
    for view in emitted:
        parts = waiting.get(view.type)
        if parts:
            accounts[view.index] = parts.pop()
    return accounts


def unsent_parts(said: object, emitted: list[PartView], types: tuple[str, ...]) -> list[Body]:
    """Return the parts of an account that have no counterpart among the emitted ones, up to the first without text.

    Only parts of the given types count; others may stand before them (issue 12, K9), and empty ones of which the stream lost
    the announcement.
    """
    if not isinstance(said, list):
        return []
    known = [view for view in emitted if view.type in types]
    if len(said) <= len(known):
        return []
    parts = [part for part in said if isinstance(part, dict) and part.get("type") in types]
    unsent: list[Body] = []
    for part in _without_counterpart(parts, [view.text for view in known]):
        if not isinstance(part.get(grammar.RUN_OF_PART[part["type"]].field), str):
            break
        unsent.append(part)
    return unsent


def _without_counterpart(parts: list[Body], texts: list[str]) -> list[Body]:
    """Return the parts to which no emitted text corresponds.

    A text corresponds to the first part behind its predecessor's that begins with it: a part before that was lost. Texts that
    no part begins with lack a piece; they correspond to the first parts that are left.
    """
    at = 0
    left: list[Body] = []
    for part in parts:
        said = part.get(grammar.RUN_OF_PART[part["type"]].field)
        if at < len(texts) and isinstance(said, str) and said.startswith(texts[at]):
            at += 1
        elif at == len(texts) or said != "":
            left.append(part)
    return left[len(texts) - at :]
