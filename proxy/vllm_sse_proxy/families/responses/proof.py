"""What upstream's final object proves: which of its items the client was told, and which it was not.

vLLM builds ``response.output`` of the terminal event by a second parse: up to 0.31 with new ids (R11), sometimes with
other texts (R10), types (R23) or numbers of items than it streamed (R03, R20, R21). So items are matched by what they
say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.grammar import item_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.events import Body
    from vllm_sse_proxy.families.responses.view import ItemView

_TEXT_KINDS = (grammar.MESSAGE, grammar.REASONING)

# A call as the model writes it for the parsers that look for this tag (hermes, qwen …); one that was cut has no end.
_RAW_CALL: Final = re.compile(r"<tool_call>.*?(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_END_OF_RAW_CALL: Final = re.compile(r"[\s}]*(?:</tool_call>)?")
_BEFORE_ARGUMENTS: Final = re.compile(r'"?[\s,]*(?:"\w*"?)?[\s:]*')

_JSON_OF_CALLS: Final = re.compile(r'(?:[\s\[\]{},:"]|name|parameters|arguments)*')

# Special tokens that one of vLLM's two parses leaves in a text and the other does not; some of them with white space.
_SPECIAL: Final = r"(?:</?think>|<\|\w+\|>)"
_WITHOUT_TOKENS: Final = (
    (re.compile(_SPECIAL), ""),
    (re.compile(rf"\s*{_SPECIAL}\s*"), " "),
)

_NEW_MESSAGE: Final[Body] = {
    "id": "",
    "type": grammar.MESSAGE.type,
    "role": "assistant",
    "status": "completed",
}


class Proof:
    """The final items, matched with the told ones.

    :ivar accounts: index of a told item → the final item that is its account.
    :ivar untold: final items, in order, of which the client was told nothing, or something else.
    """

    def __init__(self, told: Sequence[ItemView], output: object) -> None:
        finals = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        self.accounts: dict[int, Body] = {}
        self._told = told
        self._only = len(finals) == 1 and len(told) > 1
        # An id that was used for two items (R12) may lead to the wrong one: first it must agree with what was told.
        left = [final for final in finals if not self._match_id(final, sure=True)]
        left = [final for final in left if not self._match_content(final)]
        left = [final for final in left if not self._match_id(final, sure=False)]
        left = [kept for final in left if (kept := self._without_told_calls(final)) is not None]
        self.untold = [final for final in left if not self._is_told_otherwise(final)]

    def _match_id(self, final: Body, *, sure: bool) -> bool:
        """Match by id: with ``sure`` if the content agrees, without it if the item could not be told again."""
        id_ = final.get("id")
        for item in self._told:
            if (
                id_
                and item.id == id_
                and item.type == final.get("type")
                and item.index not in self.accounts
                and (agrees(item, final) if sure else not _could_be_told_again(final))
            ):
                self.accounts[item.index] = final
                return True
        return False

    def _match_content(self, final: Body) -> bool:
        for item in self._told:
            if item.index not in self.accounts and item.type == final.get("type") and agrees(item, final):
                self.accounts[item.index] = final
                return True
        return False

    def _without_told_calls(self, final: Body) -> Body | None:
        """Return a final text without the raw text of calls that were streamed as calls (R39, R45); None if nothing is left.

        What stands between the calls may be told nowhere else, and so may a call that was cut before its name.
        """
        said = text_of(final) if item_kind(final.get("type")) in _TEXT_KINDS else ""
        others = [item for item in self._told if item.index not in self.accounts]
        calls = [item for item in others if item.own is not None]
        if calls and said.lstrip().startswith(("[", "{")) and _is_forced_calls(said, calls):
            return None
        if "<tool_call>" not in said:
            return final

        def left_of(found: re.Match[str]) -> str:
            raw = found[0]
            call = next((call for call in calls if _is_raw_text_of(raw, call)), None)
            if call is not None:
                calls.remove(call)
                return ""
            return "" if raw.strip() == "<tool_call>" else raw

        left = _RAW_CALL.sub(left_of, said) if calls else said
        if left == said:
            return final
        for item in others:
            if (
                item.kind in _TEXT_KINDS and told_text(item).strip()
            ):  # the words before the first call were streamed
                left = left.removeprefix(told_text(item))
        if not left.strip():
            return None
        # Beside a call stands the answer, also where upstream takes all of it for reasoning (R45).
        base = final if final["type"] == grammar.MESSAGE.type else _NEW_MESSAGE
        shorter = {**base, "content": [{"type": grammar.MESSAGE.parts[0], "text": left, "annotations": []}]}
        return None if self._match_content(shorter) else shorter

    def _is_told_otherwise(self, final: Body) -> bool:
        """Tell whether the client has all that ``final`` says, though no told item corresponds to it."""
        kind = item_kind(final.get("type"))
        if kind not in _TEXT_KINDS:
            return False
        said = text_of(final)
        if not said.strip() and not final.get("encrypted_content"):
            return any(item.kind is kind for item in self._told) or not said
        told = [told_text(item) for item in self._told if item.kind in _TEXT_KINDS]
        if told and self._only and told[-1].endswith(said):
            return True  # the last token alone, whatever kind it was taken for (R04)
        # One item told in several (R17), or under the other kind (a server without a reasoning parser), or as the
        # code of a built-in tool's call (R23).
        same_kind = "".join(told_text(item) for item in self._told if item.kind is kind)
        return _holds(same_kind, said) or any(
            _bare(said)[0] == _bare(told_text(item))[0]
            for item in self._told
            if item.kind is not kind and item.index not in self.accounts
        )


def agrees(item: ItemView, final: Mapping[str, Any]) -> bool:
    """Tell whether ``final`` can be the account of ``item``: an open one may grow to it, a closed one holds it all."""
    kind = item.kind
    if kind in _TEXT_KINDS:
        told, said = told_text(item), text_of(final)
        return _holds(told, said) or (not item.closed and said.startswith(told))
    if kind.run is None or item.own is None:
        return True
    if "name" in kind.required and not _is_named(item.item, final):
        return False
    if "call_id" in kind.required and item.item.get("call_id") == final.get("call_id"):
        return True
    arguments = final.get(kind.run.field)
    if not isinstance(arguments, str):
        return True
    told = item.own.text
    if arguments == told or _same_json(arguments, told) or (not item.closed and arguments.startswith(told)):
        return True
    # One brace too many was streamed with the end of the call (R49).
    return (
        synthesis.is_json(arguments)
        and told.startswith(arguments)
        and not told[len(arguments) :].strip("} \n")
    )


def _holds(told: str, said: str) -> bool:
    """Tell whether a told text has all that a final one says; special tokens and white space at the edges apart (R46)."""
    return said in told or any(
        words != "" and words in text for words, text in zip(_bare(said), _bare(told), strict=True)
    )


def _bare(text: str) -> list[str]:
    """Return a text without special tokens, and without white space at its edges."""
    return [token.sub(gap, text).strip() for token, gap in _WITHOUT_TOKENS]


def _is_named(told: Mapping[str, Any], final: Mapping[str, Any]) -> bool:
    """Tell whether two calls have one name; the stream puts the label of an MCP server before its tools' (R47)."""
    name, known = final.get("name"), told.get("name")
    return name == known or known == f"{final.get('server_label')}.{name}"


def is_spent(response: Mapping[str, Any]) -> bool:
    """Tell whether a response has as many tokens as it may have: what is unfinished then was cut (R48)."""
    usage, limit = response.get("usage"), response.get("max_output_tokens")
    spent = usage.get("output_tokens") if isinstance(usage, dict) else None
    return type(spent) is int and type(limit) is int and spent >= limit


def is_half(final: Mapping[str, Any], response: Mapping[str, Any]) -> bool:
    """Tell whether a final item is a half one, though its response may say that it is completed (R48).

    Of a message alone the status proves nothing: a stop string ends one in the middle, and rightly.
    """
    if final.get("status") not in (synthesis.INCOMPLETE, synthesis.IN_PROGRESS):
        return False
    run = item_kind(final.get("type")).run
    return is_spent(response) or (run is not None and not synthesis.is_json(str(final.get(run.field))))


def _is_forced_calls(raw: str, calls: Sequence[ItemView]) -> bool:
    """Tell whether a text is the JSON of forced calls, whole or cut, and says nothing but the calls that were told (R45)."""
    left = raw
    for call in calls:
        name = call.item.get("name")
        left = left.replace(call.own.text if call.own is not None else "", "", 1)
        left = left.replace(name, "", 1) if isinstance(name, str) else left
    return left != raw and _JSON_OF_CALLS.fullmatch(left) is not None


def _is_raw_text_of(raw: str, call: ItemView) -> bool:
    """Tell whether all that the raw text says is a call's name and arguments, as far as they were told."""
    name = call.item.get("name")
    if call.own is None or not isinstance(name, str) or name not in raw:
        return False
    text = call.own.text
    if text in ("", "{}") and _BEFORE_ARGUMENTS.fullmatch(raw, raw.find(name) + len(name)):
        return True  # cut before its arguments, which the stream may have closed as empty ones
    place = raw.rfind(text) if text else -1
    return place >= 0 and _END_OF_RAW_CALL.fullmatch(raw, place + len(text)) is not None


def told_text(item: ItemView) -> str:
    """Return all text of an item as the client has it."""
    if item.own is not None:
        return item.own.text
    return "".join(part.text for part in (*item.summaries, *item.parts))


def text_of(final: Mapping[str, Any]) -> str:
    """Return all text of the parts of a final item."""
    texts = []
    for parts in (final.get("summary"), final.get("content")):
        for part in parts if isinstance(parts, list) else ():
            type_ = part.get("type") if isinstance(part, dict) else None
            run = grammar.RUN_OF_PART.get(type_) if isinstance(type_, str) else None
            text = part.get(run.field) if run is not None else None
            if isinstance(text, str):
                texts.append(text)
    return "".join(texts)


def _could_be_told_again(final: Mapping[str, Any]) -> bool:
    return item_kind(final.get("type")) in _TEXT_KINDS


def _same_json(one: str, other: str) -> bool:
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except (ValueError, UnicodeEncodeError):
        return False
