"""What upstream's final object proves: which of its items the client was told, and which it was not.

vLLM builds ``response.output`` of the terminal event by a second parse: up to 0.31 with new ids (R11), sometimes with
other texts (R10), types (R23) or numbers of items than it streamed (R03, R20, R21). So items are matched by what they
say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxy.responses import grammar
from proxy.responses.grammar import item_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.responses.events import Body
    from proxy.responses.view import ItemView

_TEXT_KINDS = (grammar.MESSAGE, grammar.REASONING)


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
        left = self._match_ids(finals)
        left = [final for final in left if not self._match_content(final)]
        self.untold = [final for final in left if not self._is_told_otherwise(final)]

    def _match_ids(self, finals: list[Body]) -> list[Body]:
        by_id = {item.id: item for item in self._told if item.id}
        left = []
        for final in finals:
            id_ = final.get("id")
            item = by_id.get(id_) if isinstance(id_, str) else None
            if (
                item is not None
                and item.type == final.get("type")
                and item.index not in self.accounts
                and (agrees(item, final) or not _could_be_told_again(final))
            ):
                self.accounts[item.index] = final
            else:
                left.append(final)
        return left

    def _match_content(self, final: Body) -> bool:
        for item in self._told:
            if item.index not in self.accounts and item.type == final.get("type") and agrees(item, final):
                self.accounts[item.index] = final
                return True
        return False

    def _is_told_otherwise(self, final: Body) -> bool:
        """Tell whether the client has all that ``final`` says, though no told item corresponds to it."""
        kind = item_kind(final.get("type"))
        if kind not in _TEXT_KINDS:
            return False
        said = text_of(final)
        if not said.strip() and not final.get("encrypted_content"):
            return any(item.kind is kind for item in self._told) or not said
        if kind is grammar.MESSAGE and any(
            item.index not in self.accounts and _is_call_in(item, said) for item in self._told
        ):
            return True  # the raw text of a call that was streamed as one (R39)
        told = [told_text(item) for item in self._told if item.kind in _TEXT_KINDS]
        if told and self._only and told[-1].endswith(said):
            return True  # the last token alone, whatever kind it was taken for (R04)
        # One item told in several (R17), or under the other kind (a server without a reasoning parser), or as the
        # code of a built-in tool's call (R23).
        same_kind = "".join(told_text(item) for item in self._told if item.kind is kind)
        return said in same_kind or any(
            said.strip() == told_text(item).strip()
            for item in self._told
            if item.kind is not kind and item.index not in self.accounts
        )


def agrees(item: ItemView, final: Mapping[str, Any]) -> bool:
    """Tell whether ``final`` can be the account of ``item``: an open one may grow to it, a closed one holds it all."""
    kind = item.kind
    if kind in _TEXT_KINDS:
        told, said = told_text(item), text_of(final)
        return said in told if item.closed else said.startswith(told) or said.strip() in told
    if kind.run is None or item.own is None:
        return True
    if "name" in kind.required and item.item.get("name") != final.get("name"):
        return False
    if "call_id" in kind.required and item.item.get("call_id") == final.get("call_id"):
        return True
    arguments = final.get(kind.run.field)
    if not isinstance(arguments, str):
        return True
    told = item.own.text
    return (
        arguments == told or _same_json(arguments, told) or (not item.closed and arguments.startswith(told))
    )


def _is_call_in(item: ItemView, text: str) -> bool:
    """Tell whether an item is a call whose name and arguments stand in the text."""
    name = item.item.get("name")
    return item.own is not None and isinstance(name, str) and name in text and item.own.text in text


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
