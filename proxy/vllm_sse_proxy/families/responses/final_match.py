"""Matches the final output with what was emitted: which items the client has been sent, and which are unsent.

Theory of operation. vLLM builds ``response.output`` of the terminal event by a second parse of the model's answer: up to 0.31
with new ids (R11), sometimes with other texts (R10), types (R23), arguments, or numbers of items than it streamed (R03, R20,
R21). Stream and final output are two accounts of *one* answer, so the question is never whether two items are equal, but
whether they are the same item.

*Calls* that clients run are matched so that none runs twice (:mod:`.call_match`), *texts* (messages and reasoning) so that
none is said twice (:mod:`.text_match`), and *everything else* by id, then by type and name in order.

Every step is linear in the number of items and in their text.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import item_fields, item_objects
from vllm_sse_proxy.families.responses.call_match import CallMatch, arguments_of, text_or_none
from vllm_sse_proxy.families.responses.grammar import CLIENT_CALLS, TEXT_KINDS, item_kind
from vllm_sse_proxy.families.responses.item_texts import text_of
from vllm_sse_proxy.families.responses.text_match import TextMatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.call_match import Placed
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView
    from vllm_sse_proxy.stream.event import Body


class FinalMatch:
    """The final output of one response, matched with what was emitted.

    :ivar output: the final output.
    :ivar size: how much had been emitted, as :class:`.view.ClientView` counts it.
    :ivar accounts: index of an emitted item → the final item that is upstream's account of it.
    :ivar unsent: final items, in order, that the client was not sent.
    """

    def __init__(self, view: ClientView, output: object) -> None:
        self.output = output
        self.size = view.size
        self.accounts: dict[int, Body] = {}
        self.unsent: list[Body] = []
        self._growing: list[ItemView] = []
        self._last = view.items[-1] if view.items else None
        self._last_unsent = 0
        finals: list[Body] = []
        if type(output) is list:
            finals.extend(readable_item(item) for item in output if type(item) is dict)
        self._finals = finals
        accounts = _in_step(view.items, finals) if finals else {}
        if accounts is not None:
            self.accounts = accounts
        else:
            self._match(view, finals)

    def _match(self, view: ClientView, finals: list[Body]) -> None:
        calls: list[Placed] = []
        texts: list[Placed] = []
        others: list[Placed] = []
        for place, final in enumerate(finals):
            kind = item_kind(final.get("type"))
            kept = texts if kind in TEXT_KINDS else calls if kind in CLIENT_CALLS else others
            kept.append((place, final))
        unsent = CallMatch(view, self.accounts).match(calls)
        unsent += _match_others(view.items, others, self.accounts)
        text_match = TextMatch(view.items, self.accounts, is_only=len(finals) == 1)
        unsent += text_match.match(texts)
        self._growing = text_match.growing
        unsent.sort(key=itemgetter(0))
        self.unsent = [final for _, final in unsent]
        if unsent:
            self._last_unsent = unsent[-1][0]

    def ends_with(self, final: Body) -> bool:
        """Return whether a final item is the last one."""
        return final is self._finals[-1]

    def is_stale(self, view: ClientView, output: object) -> bool:
        """Return whether another match must be made: the output is another, text was added, or an item closed without it."""
        return (
            self.output is not output or self.size != view.size or any(item.closed for item in self._growing)
        )

    def is_last(self, item: ItemView, *, was_cut: bool = False) -> bool:
        """Return whether nothing comes after an emitted item, neither in the stream nor in the final output.

        :param was_cut: the response has all the tokens that it may have, so what is in no final item was cut from it.
        """
        if item is not self._last:
            return False
        account = self.accounts.get(item.index)
        if account is None:
            return was_cut or not self.unsent
        return not any(final is account for final in self._finals[: self._last_unsent])


def _in_step(items: Sequence[ItemView], finals: list[Body]) -> dict[int, Body] | None:
    """Return the accounts where stream and final output agree item by item, as they nearly always do; None where they do not.

    Each item must be of one kind, unlike, and whole: then every other way to match them ends the same.
    """
    if len(items) != len(finals):
        return None
    accounts: dict[int, Body] = {}
    signs: dict[object, None] = {}
    for item, final in zip(items, finals, strict=True):
        if final.get("type") != item.type:
            return None
        if item.kind in CLIENT_CALLS and item.own is not None:
            sign = (item.type, final.get("name"), arguments_of(final))
            if sign != (item.type, item.item.get("name"), item.own.text):
                return None
        elif item.kind in TEXT_KINDS and len(item.parts) == 1 and not item.summaries:
            sign = (item.type, "", item.parts[0].text)
            if not sign[2] or sign[2] != text_of(final):
                return None
        else:
            return None
        if sign in signs:
            return None
        signs[sign] = None
        accounts[item.index] = final
    return accounts


def match_final(view: ClientView, output: object) -> FinalMatch:
    """Return the match of the final output with what was emitted; made anew only if there is another output, or more text."""
    known: FinalMatch | None = view.final_match
    if known is None or known.is_stale(view, output):
        known = view.final_match = FinalMatch(view, output)
    return known


def _match_others(
    emitted: Sequence[ItemView], finals: list[Placed], accounts: dict[int, Body]
) -> list[Placed]:
    """Match what is neither text nor a client's call: by type and id, then by type and name in order."""
    finals = _without_repeated_others(finals)
    if not finals:
        return finals
    for signs in (_type_and_id_of, _type_and_names_of):
        waiting: dict[object, list[int]] = {}
        for item in reversed(emitted):
            if item.kind not in TEXT_KINDS and item.kind not in CLIENT_CALLS and item.index not in accounts:
                for sign in signs(item.item)[:1]:
                    waiting.setdefault(sign, []).append(item.index)
        left: list[Placed] = []
        for placed in finals:
            same = next((found for sign in signs(placed[1]) if (found := waiting.get(sign))), None)
            if same:
                accounts[same.pop()] = placed[1]
            else:
                left.append(placed)
        finals = left
    return finals


def _without_repeated_others(finals: list[Placed]) -> list[Placed]:
    """Leave out a final item that is there already, word for word and under the same id."""
    seen: dict[object, Body] = {}
    kept: list[Placed] = []
    for placed in finals:
        item = placed[1]
        for sign in _type_and_id_of(item):
            if item is not (first := seen.setdefault(sign, item)) and item == first:
                break
        else:
            kept.append(placed)
    return kept


def _type_and_id_of(item: Mapping[str, Any]) -> list[tuple[object, ...]]:
    id_ = text_or_none(item.get("id"))
    return [(text_or_none(item.get("type")), id_)] if id_ is not None else []


def _type_and_names_of(item: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Return the names that an item may go by: the stream puts the label of an MCP server before its tools' (R47)."""
    type_, name, label = (text_or_none(item.get(field)) for field in ("type", "name", "server_label"))
    signs: list[tuple[object, ...]] = [(type_, name)]
    if name is not None and label is not None:
        signs.append((type_, f"{label}.{name}"))
    return signs


def readable_item(item: Body) -> Body:
    """Return a message or reasoning item with the parts of its kind where it comes in a chat's shape (K9).

    A string for content or summary, parts of the types ``text`` and ``input_text``, bare strings, texts in an object, and
    messages without a type are what vLLM's chat code and gateways put there. Parts of types that nobody knows stay.

    :returns: the item itself if every part is as it must be.
    """
    typed = item_fields.with_type(item)
    kind = item_kind(typed.get("type"))
    if kind not in TEXT_KINDS:
        return item
    changes: Body = {}
    for field, type_ in (("content", kind.parts[0]), ("summary", _SUMMARY)):
        parts = typed.get(field)
        if type(parts) is str:
            changes[field] = [_text_part(type_, parts)] if parts else []
        elif type(parts) is list and any(_is_in_chat_shape(part) for part in parts):
            changes[field] = [_readable_part(type_, part) for part in parts]
        elif parts is None and field in typed:
            changes[field] = []
    return {**typed, **changes} if changes else typed


_CHAT_TYPES: Final = ("text", "input_text")
_SUMMARY: Final = "summary_text"


def _is_in_chat_shape(part: object) -> bool:
    if type(part) is not dict:
        return type(part) is str
    type_, text = part.get("type", "text"), part.get("text")
    return type(text) is dict or (type_ in _CHAT_TYPES and type(text) is str)


def _readable_part(type_: str, part: Any) -> Any:
    if not _is_in_chat_shape(part):
        return part
    if type(part) is str:
        return _text_part(type_, part)
    text = item_fields.flatten(part["text"])
    if part.get("type", "text") not in _CHAT_TYPES:
        return {**part, "text": text or ""}
    return {**item_objects.new_part(type_), **part, "type": type_, "text": text or ""}


def _text_part(type_: str, text: str) -> Body:
    return {**item_objects.new_part(type_), "text": text}
