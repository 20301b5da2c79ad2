"""Matches the final output with what was emitted: which items the client has been sent, and which are unsent.

Theory of operation. vLLM builds ``response.output`` of the terminal event by a second parse of the model's answer: up to 0.31
with new ids (R11), sometimes with other texts (R10), types (R23), arguments, or numbers of items than it streamed (R03, R20,
R21). Stream and final output are two accounts of *one* answer, so the question is never whether two items are equal, but
whether they are the same item.

*Calls* that clients run are matched in this order: by ``call_id``, by name and arguments, by id, and then by name in the
order in which they came. What is left over on both sides is paired in order as well: if both accounts have
equally many calls, they are the same calls, whatever their arguments say (issue 12, K5). Only calls in excess are unsent,
because a tool must not run twice.

*Texts* (messages and reasoning) are matched by id and equal text, by equal text, by id where the content agrees, and then in
order where it does. A final text that has no item of its own may still stand within what was sent beyond the matched texts:
one item streamed as several (R17), several as one, the last token alone (R04). Matched text is used up, so an answer that
repeats an earlier text, or is a part of it, still counts as an answer of its own (issue 12, K9).

*Everything else* is matched by id, then by type and name in order.

Every step is linear in the number of items and in their text. Only the search for one text within another may meet the same
text again; it has a budget (:class:`_Search`), and beyond it a text counts as unsent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import agreement, grammar, item_fields, item_objects, item_texts
from vllm_sse_proxy.families.responses.grammar import ItemKind, item_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView
    from vllm_sse_proxy.stream.event import Body

_TEXT_KINDS: Final = (grammar.MESSAGE, grammar.REASONING)
_CLIENT_CALLS: Final = (grammar.FUNCTION_CALL, grammar.CUSTOM_CALL)

_LOOK_AHEAD: Final = 4
"""Items that may stand in one account and not in the other before those that correspond: white space between reasoning and a
call is streamed as a message and is absent from the final output (0.24)."""


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
        calls: list[_Placed] = []
        texts: list[_Placed] = []
        others: list[_Placed] = []
        for place, final in enumerate(finals):
            kind = item_kind(final.get("type"))
            kept = texts if kind in _TEXT_KINDS else calls if kind in _CLIENT_CALLS else others
            kept.append((place, final))
        unsent = _CallMatch(view, self.accounts).match(calls)
        unsent += _match_others(view.items, others, self.accounts)
        text_match = _TextMatch(view.items, self.accounts, is_only=len(finals) == 1)
        unsent += text_match.match(texts)
        self._growing = text_match.growing
        unsent.sort(key=_place_of)
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
        if item.kind in _CLIENT_CALLS and item.own is not None:
            sign = (item.type, final.get("name"), _arguments_of(final))
            if sign != (item.type, item.item.get("name"), item.own.text):
                return None
        elif item.kind in _TEXT_KINDS and len(item.parts) == 1 and not item.summaries:
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


_Placed = tuple[int, dict[str, Any]]
"""A final item behind its place in the output."""


def _place_of(placed: _Placed) -> int:
    return placed[0]


# ------------------------------------------------------------------------------------------------------------------ calls


class _CallMatch:
    """Calls that clients run: finds the emitted call for each final one, by the surest sign first."""

    def __init__(self, view: ClientView, accounts: dict[int, Body]) -> None:
        self._emitted = [item for item in view.items if item.kind in _CLIENT_CALLS]
        self._accounts = accounts
        self._names = names_of_tools(view.response)

    def match(self, finals: list[_Placed]) -> list[_Placed]:
        """Note the accounts; return the calls that were not sent."""
        finals = _without_repeated_calls(finals)
        if not finals or not self._emitted:
            return finals
        for sign in (_call_id_of, _request_of, _id_and_name_of, _name_of):
            finals = self._match_by(sign, finals)
        # As many calls in both accounts are the same calls, even where a name was parsed otherwise: one more could run a
        # tool twice. But a name that no tool has is run by nobody, so then the right one must be sent (0.18.1 cuts names).
        left = sum(item.index not in self._accounts and self._can_run(item) for item in self._emitted)
        return self._without_sent_requests(finals[left:])

    def _without_sent_requests(self, finals: list[_Placed]) -> list[_Placed]:
        """Leave out calls in excess that ask for what was sent already, in the same words: they may be the sent call again.

        Nobody can know, and a call too few is asked for again, whereas one too many was run (issue 12, K5).
        """
        if not finals:
            return finals
        sent = {_request_of(item.item, _said_of(item)): None for item in self._emitted}
        return [
            placed
            for placed in finals
            if (request := _request_of(placed[1], _arguments_of(placed[1]))) is None or request not in sent
        ]

    def _match_by(self, sign: _Sign, finals: list[_Placed]) -> list[_Placed]:
        waiting: dict[object, list[ItemView]] = {}
        for item in reversed(self._emitted):
            if item.index not in self._accounts:
                key = sign(item.item, _said_of(item))
                waiting.setdefault(key, []).append(item)
        left: list[_Placed] = []
        for placed in finals:
            final = placed[1]
            key = sign(final, _arguments_of(final))
            same = waiting.get(key) if key is not None else None
            if same:
                self._accounts[_likeliest(same, final).index] = final
            else:
                left.append(placed)
        return left

    def _can_run(self, item: ItemView) -> bool:
        return not self._names or item.item.get("name") in self._names


if TYPE_CHECKING:
    from collections.abc import Callable

    _Sign = Callable[[Mapping[str, Any], object], object]


def _likeliest(same: list[ItemView], final: Body) -> ItemView:
    """Take the first emitted call (the last of the list), or one soon after whose cut arguments the final ones go on with."""
    arguments = _arguments_of(final)
    if type(arguments) is str:
        for back in range(1, min(len(same), _LOOK_AHEAD) + 1):
            item = same[-back]
            text = item.own.text if item.own is not None else ""
            if text and not item.closed and arguments.startswith(text):
                return same.pop(-back)
    return same.pop()


def _call_id_of(call: Mapping[str, Any], arguments: object) -> object:  # noqa: ARG001 - one of the signs
    return _text_or_none(call.get("call_id"))


def _request_of(call: Mapping[str, Any], arguments: object) -> object:
    """Return what a call asks for, its name and arguments; the same for arguments that are the same JSON."""
    name = call.get("name")
    if type(name) is not str or type(arguments) is not str:
        return None
    return (name, _canonical(arguments))


def _id_and_name_of(call: Mapping[str, Any], arguments: object) -> object:  # noqa: ARG001 - one of the signs
    id_, name = _text_or_none(call.get("id")), call.get("name")
    return (id_, name) if id_ is not None and type(name) is str else None


def _name_of(call: Mapping[str, Any], arguments: object) -> object:  # noqa: ARG001 - one of the signs
    return _text_or_none(call.get("name"))


def _text_or_none(value: object) -> str | None:
    return value if type(value) is str and value != "" else None


def _said_of(item: ItemView) -> str:
    """Return the arguments of an emitted call; those of its closing, if that waits for the terminal event."""
    own = item.own
    if own is None:
        return ""
    return own.text if own.waiting is None else own.waiting


def _arguments_of(call: Mapping[str, Any]) -> object:
    run = item_kind(call.get("type")).run
    return call.get(run.field) if run is not None else None


def _canonical(arguments: str) -> object:
    canonical = agreement.canonical_json(arguments)
    return arguments if canonical is None else canonical


def _without_repeated_calls(finals: list[_Placed]) -> list[_Placed]:
    """Leave out a final call that is there already: the same id or call_id, name and arguments (K5)."""
    seen: set[object] = set()
    kept: list[_Placed] = []
    for placed in finals:
        call = placed[1]
        request = _request_of(call, _arguments_of(call))
        signs = [
            (name, sign, request)
            for name in ("id", "call_id")
            if request is not None and (sign := _text_or_none(call.get(name))) is not None
        ]
        if not any(sign in seen for sign in signs):
            kept.append(placed)
            seen.update(signs)
    return kept


def names_of_tools(response: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names that a response's echo of ``tools`` gives to functions and custom tools, those in namespaces too."""
    tools = response.get("tools") if response is not None else None
    names: set[str] = set()
    pending = list(tools) if type(tools) is list else []
    while pending:
        tool = pending.pop()
        if type(tool) is dict:
            name, nested = tool.get("name"), tool.get("tools")
            if type(nested) is list:
                pending += nested
            elif type(name) is str:
                names.add(name)
    return frozenset(names)


# ----------------------------------------------------------------------------------------------------- calls of servers, …


def _match_others(
    emitted: Sequence[ItemView], finals: list[_Placed], accounts: dict[int, Body]
) -> list[_Placed]:
    """Match what is neither text nor a client's call: by type and id, then by type and name in order."""
    finals = _without_repeated_others(finals)
    if not finals:
        return finals
    for signs in (_type_and_id_of, _type_and_names_of):
        waiting: dict[object, list[int]] = {}
        for item in reversed(emitted):
            if item.kind not in _TEXT_KINDS and item.kind not in _CLIENT_CALLS and item.index not in accounts:
                for sign in signs(item.item)[:1]:
                    waiting.setdefault(sign, []).append(item.index)
        left: list[_Placed] = []
        for placed in finals:
            same = next((found for sign in signs(placed[1]) if (found := waiting.get(sign))), None)
            if same:
                accounts[same.pop()] = placed[1]
            else:
                left.append(placed)
        finals = left
    return finals


def _without_repeated_others(finals: list[_Placed]) -> list[_Placed]:
    """Leave out a final item that is there already, word for word and under the same id."""
    seen: dict[object, Body] = {}
    kept: list[_Placed] = []
    for placed in finals:
        item = placed[1]
        for sign in _type_and_id_of(item):
            if item is not (first := seen.setdefault(sign, item)) and item == first:
                break
        else:
            kept.append(placed)
    return kept


def _type_and_id_of(item: Mapping[str, Any]) -> list[tuple[object, ...]]:
    id_ = _text_or_none(item.get("id"))
    return [(_text_or_none(item.get("type")), id_)] if id_ is not None else []


def _type_and_names_of(item: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Return the names that an item may go by: the stream puts the label of an MCP server before its tools' (R47)."""
    type_, name, label = (_text_or_none(item.get(field)) for field in ("type", "name", "server_label"))
    signs: list[tuple[object, ...]] = [(type_, name)]
    if name is not None and label is not None:
        signs.append((type_, f"{label}.{name}"))
    return signs


# ------------------------------------------------------------------------------------------------------------------ texts


class _Search:
    """The search for texts in texts: how much may be searched again (as much as there is, and a little), and bare forms."""

    __slots__ = ("_bare", "_left")

    def __init__(self, size: int) -> None:
        self._left = 8 * size + 65_536
        self._bare: dict[str, tuple[str, str]] = {}

    def allows(self, size: int) -> bool:
        """Return whether a text of this size may be searched once more."""
        self._left -= size
        return self._left >= 0

    def bare(self, text: str) -> tuple[str, str]:
        """Return the bare forms of a text, each of which is compared with several others."""
        known = self._bare.get(text)
        if known is None:
            known = self._bare[text] = _bare(text)
        return known


class _TextMatch:
    """Messages and reasoning: finds the emitted text for each final one, or the emitted text that contains it.

    :ivar growing: open items of which the final output holds more than was emitted.
    """

    def __init__(self, items: Sequence[ItemView], accounts: dict[int, Body], *, is_only: bool) -> None:
        self._accounts = accounts
        self._emitted = [_Emitted(item) for item in items if item.kind in _TEXT_KINDS]
        self._calls = [item for item in items if item.own is not None and item.index not in accounts]
        self.growing: list[ItemView] = []
        self._elsewhere: dict[str, list[str]] | None = None
        self._is_only = is_only and len(items) > 1
        self._search = _Search(sum(emitted.size for emitted in self._emitted))
        self._pools: dict[str, _Pool] = {}

    def match(self, finals: list[_Placed]) -> list[_Placed]:
        """Note the accounts; return the texts that were not sent, without what was sent otherwise."""
        finals = _without_repeated_texts(finals)
        if not finals or not (self._emitted or self._calls):
            return [placed for placed in finals if _says_something(placed[1])]
        finals = self._match_ids(finals, exactly=True)
        finals = self._match_equals(finals)
        finals = self._match_ids(finals)
        finals = self._match_in_order(finals)
        shortened = [(place, self._without_calls(final)) for place, final in finals]
        unsent = [(place, final) for place, final in shortened if final is not None]
        return self._without_sent_parts([placed for placed in unsent if not self._is_sent(placed[1])])

    def _match_ids(self, finals: list[_Placed], *, exactly: bool = False) -> list[_Placed]:
        """An id that was used for two items (R12) may lead to the wrong one: what it names must agree.

        :param exactly: the texts must be equal: of two final texts, one may be the other's beginning.
        """
        known = {emitted.item.id: emitted for emitted in self._emitted if emitted.item.id}
        left: list[_Placed] = []
        for placed in finals:
            final = placed[1]
            id_ = final.get("id")
            emitted = known.get(id_) if type(id_) is str else None
            agrees = emitted is not None and (not exactly or text_of(final) in emitted.texts)
            if emitted is None or not agrees or not self._settle(emitted, final):
                left.append(placed)
        return left

    def _match_equals(self, finals: list[_Placed]) -> list[_Placed]:
        waiting: dict[object, list[_Emitted]] = {}
        for emitted in reversed(self._emitted):
            if emitted.is_free:
                for text in emitted.texts:
                    waiting.setdefault((emitted.item.type, self._search.bare(text)[0]), []).append(emitted)
        left: list[_Placed] = []
        for placed in finals:
            final = placed[1]
            text = self._search.bare(text_of(final))[0]
            same = waiting.get((final.get("type"), text)) if text else None
            while same and not same[-1].is_free:
                same.pop()
            if not same or not self._settle(same.pop(), final):
                left.append(placed)
        return left

    def _match_in_order(self, finals: list[_Placed]) -> list[_Placed]:
        free: dict[str, list[_Emitted]] = {}
        for emitted in reversed(self._emitted):
            if emitted.is_free:
                free.setdefault(emitted.item.type, []).append(emitted)
        left: list[_Placed] = []
        for placed in finals:
            final = placed[1]
            waiting = free.get(str(final.get("type")), [])
            for back in range(1, min(len(waiting), _LOOK_AHEAD) + 1):
                if self._settle(waiting[-back], final):
                    del waiting[-back:]
                    break
            else:
                left.append(placed)
        return left

    def _without_sent_parts(self, unsent: list[_Placed]) -> list[_Placed]:
        """Leave out the parts of a text that were sent, where upstream lost a piece of another part (issue 12, K9).

        Under the same id these may be beginnings, too. Under another one both texts must have several parts.
        """
        free = [emitted.item for emitted in self._emitted if emitted.is_free] if unsent else []
        known = {item.id: item for item in free}
        several = [item for item in free if len(item.parts) > 1]
        left: list[_Placed] = []
        for place, final in unsent:
            id_ = final.get("id")
            item = known.pop(id_, None) if type(id_) is str else None
            if item is None and several and _has_several_parts(final):
                item = several[0]
            if item is None or item.type != final.get("type"):
                left.append((place, final))
                continue
            shorter = _without_parts_of(final, item)
            if several and shorter is not final and item is several[0]:
                del several[0]
            if shorter is final or _says_something(shorter):
                left.append((place, shorter))
        return left

    def _settle(self, emitted: _Emitted, final: Body) -> bool:
        """Note the account of an emitted item if it is one: what was sent holds all of it, or may still grow to it."""
        if not emitted.is_free or emitted.item.type != final.get("type"):
            return False
        rest = emitted.beyond(text_of(final), self._search)
        if rest is None:
            return False
        if not emitted.item.closed and text_of(final) not in emitted.texts:
            self.growing.append(emitted.item)
        emitted.is_free = False
        emitted.rest = rest
        self._accounts[emitted.item.index] = final
        return True

    def _without_calls(self, final: Body) -> Body | None:
        """Return a text without the raw text of calls that were streamed as calls (R39, R45); None if nothing is left.

        What stands between the calls may be sent nowhere else, and so may a call that was cut before its name.
        """
        said = text_of(final)
        if not self._calls or not said:
            return final
        if said.lstrip().startswith(("[", "{")) and _is_forced_calls(said, self._calls):
            return None
        if _TAG not in said:
            return final
        left = _without_raw_calls(said, self._calls)
        if left is None:
            return final
        for emitted in self._emitted:
            if emitted.is_free and emitted.texts[0].strip():  # the words before the first call were streamed
                left = left.removeprefix(emitted.texts[0])
        if not left.strip():
            return None
        # Beside a call stands the answer, also where upstream takes all of it for reasoning (R45).
        base = final if final.get("type") == grammar.MESSAGE.type else _NEW_MESSAGE
        shorter = {**base, "content": [{"type": grammar.OUTPUT_TEXT.name, "text": left, "annotations": []}]}
        free = [emitted for emitted in self._emitted if emitted.is_free][:_LOOK_AHEAD]
        return None if any(self._settle(emitted, shorter) for emitted in free) else shorter

    def _is_sent(self, final: Body) -> bool:
        """Return whether the client has all that a text says, though no emitted item corresponds to it."""
        said = text_of(final)
        bare = self._search.bare(said)[0]
        kind = item_kind(final.get("type"))
        if not bare:
            return not final.get("encrypted_content") or any(
                emitted.item.kind is kind for emitted in self._emitted
            )
        if self._is_only:
            free = [emitted for emitted in self._emitted if emitted.is_free]
            if free and any(text.endswith(said) for text in free[-1].texts):
                return True  # the last token alone, whatever kind it was taken for (R04)
        # One item sent as several (R17), or under the other kind (a server without a reasoning parser), or as the code of a
        # built-in tool's call (R23).
        if self._pool(kind).holds(said, self._search):
            return True
        if self._elsewhere is None:
            self._elsewhere = self._texts_elsewhere()
        return any(other != kind.type for other in self._elsewhere.get(bare, ()))

    def _texts_elsewhere(self) -> dict[str, list[str]]:
        """Return the texts without a final item so far, bare, each with the types of the items that hold it."""
        texts: dict[str, list[str]] = {}
        for emitted in self._emitted:
            if emitted.is_free:
                for text in emitted.texts:
                    texts.setdefault(self._search.bare(text)[0], []).append(emitted.item.type)
        for call in self._calls:
            texts.setdefault(emitted_text(call).strip(), []).append(call.type)
        return texts

    def _pool(self, kind: ItemKind) -> _Pool:
        pool = self._pools.get(kind.type)
        if pool is None:
            left = [
                emitted.texts[0] if emitted.is_free else emitted.rest
                for emitted in self._emitted
                if emitted.item.kind is kind
            ]
            pool = self._pools[kind.type] = _Pool("".join(left))
        return pool


class _Emitted:
    """An emitted text on its way through the match.

    :ivar texts: what it says: all of its text, and where it has a summary besides, either alone.
    :ivar rest: what it says beyond its account.
    """

    __slots__ = ("is_free", "item", "rest", "size", "texts")

    def __init__(self, item: ItemView) -> None:
        self.item = item
        self.is_free = True
        self.rest = ""
        content = "".join(part.text for part in item.parts)
        summary = "".join(part.text for part in item.summaries)
        if summary:  # one that was only begun says nothing, and every text would begin with it
            self.texts = [content, summary, summary + content] if content else [summary]
        else:
            self.texts = [content]
        self.size = sum(map(len, self.texts))

    def beyond(self, said: str, search: _Search) -> str | None:
        """Return what the item says beyond a final text; None if it does not hold it.

        An open item may grow: it holds what it begins. Special tokens, and white space at the edges, say nothing (R46).
        """
        for text in self.texts:
            if text == said or (not self.item.closed and said.startswith(text)):
                return self._other_than(text)
        if not said or not search.allows(self.size + len(said)):
            return None
        for text in self.texts:
            for words, whole in ((said, text), *zip(search.bare(said), search.bare(text), strict=True)):
                place = whole.find(words) if words else -1
                if place >= 0:
                    return whole[:place] + whole[place + len(words) :]
        return None

    def _other_than(self, text: str) -> str:
        """Return what the item says besides one of its texts: the content beside the summary, and the reverse.

        It may be of an item whose announcement was lost. Where both say the same they are one thought.
        """
        if len(self.texts) == 1 or text == self.texts[-1] or self.texts[0] == self.texts[1]:
            return ""
        return self.texts[1] if text == self.texts[0] else self.texts[0]


def _without_parts_of(final: Body, item: ItemView) -> Body:
    """Return a final text without the parts that an emitted item has, or their beginnings."""
    content = final.get("content")
    waiting = [part for part in item.parts if part.text.strip()]
    left: list[Any] = []
    for part in content if type(content) is list else []:
        said = item_texts.texts_in([part])
        sent = next((one for one in waiting[:_LOOK_AHEAD] if said.startswith(one.text)), None)
        if sent is None or part["type"] != sent.type or sent.run is None:
            left.append(part)
            continue
        waiting.remove(sent)
        if said != sent.text:
            left.append({**part, sent.run.field: said[len(sent.text) :]})
    return final if left == content or type(content) is not list else {**final, "content": left}


def _has_several_parts(final: Body) -> bool:
    content = final.get("content")
    return type(content) is list and len(content) > 1


class _Pool:
    """Emitted text of one kind without a final item so far; what is found in it is used up."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def holds(self, said: str, search: _Search) -> bool:
        """Return whether the text stands in what is left."""
        if not search.allows(len(self._text) + len(said)):
            return False
        for words, whole in (
            (said, self._text),
            *zip(search.bare(said), _bare(self._text), strict=True),
        ):
            place = whole.find(words) if words else -1
            if place >= 0:
                self._text = whole[:place] + whole[place + len(words) :]
                return True
        return False


def _says_something(final: Body) -> bool:
    return bool(text_of(final).strip() or final.get("encrypted_content"))


def _without_repeated_texts(finals: list[_Placed]) -> list[_Placed]:
    """Leave out a final text that is there already, under the same id (K9)."""
    seen: set[object] = set()
    kept: list[_Placed] = []
    for placed in finals:
        final = placed[1]
        id_ = _text_or_none(final.get("id"))
        sign = (id_, final.get("type"), text_of(final))
        if id_ is None or sign not in seen:
            kept.append(placed)
            seen.add(sign)
    return kept


# ------------------------------------------------------------------------------------------------------------ what texts say

_SPECIAL: Final = re.compile(r"</?think>|<\|\w+\|>")
"""Special tokens that one of vLLM's two parses leaves in a text and the other does not; some of them with white space."""


def _bare(text: str) -> tuple[str, str]:
    """Return a text without special tokens and white space at its edges; once with the tokens gone, once with spaces for them.

    Split and strip, and no expression with white space around a token: that one tries every place in a run of white space
    (K11).
    """
    if "<" not in text:
        bare = text.strip()
        return bare, bare
    pieces = _SPECIAL.split(text)
    return "".join(pieces).strip(), " ".join(piece.strip() for piece in pieces).strip()


def with_text_in_place(account: Body, item: ItemView) -> Body:
    """Return an account of reasoning with its text as content where it was streamed so and the account has it as a summary.

    A second parse of the answer, or a gateway, may move the thought; it must not be emitted again (issue 12, K9). The reverse
    is what ``reasoning_summaries`` does on purpose.

    :returns: the account itself if it has any text as content, or another summary.
    """
    sent = "".join([part.text for part in item.parts]) if item.kind.summaries else ""
    bare = _bare(sent)[0]
    if not bare or item_texts.texts_in(account.get("content")):
        return account
    said = _bare(item_texts.texts_in(account.get("summary")))[0]
    if not said.startswith(bare):
        return account
    whole = sent + said[len(bare) :]
    return {**account, "content": [{"type": item.kind.parts[0], "text": whole}], "summary": []}


def text_of(item: Mapping[str, Any]) -> str:
    """Return all text of the content of a final or done item; of its summary where it has no other."""
    return item_texts.texts_in(item.get("content")) or item_texts.texts_in(item.get("summary"))


def emitted_text(item: ItemView) -> str:
    """Return all text of an item as the client has it."""
    if item.own is not None:
        return item.own.text
    return "".join([part.text for part in item.summaries] + [part.text for part in item.parts])


def emitted_length(item: ItemView) -> int:
    """Return how many characters the parts of an item have, without joining them."""
    return sum(part.length for part in item.summaries) + sum(part.length for part in item.parts)


def readable_item(item: Body) -> Body:
    """Return a message or reasoning item with the parts of its kind where it comes in a chat's shape (K9).

    A string for content or summary, parts of the types ``text`` and ``input_text``, bare strings, texts in an object, and
    messages without a type are what vLLM's chat code and gateways put there. Parts of types that nobody knows stay.

    :returns: the item itself if every part is as it must be.
    """
    typed = item_fields.with_type(item)
    kind = item_kind(typed.get("type"))
    if kind not in _TEXT_KINDS:
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


# ---------------------------------------------------------------------------------------------------- calls as text, in texts

_TAG: Final = "<tool_call>"
_RAW_CALL: Final = re.compile(r"<tool_call>.*?(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
"""A call as the model writes it for the parsers that look for this tag (hermes, qwen …); one that was cut has no end."""
_FILLING: Final = frozenset(' \t\r\n[]{},:"')
_WORDS_OF_A_CALL: Final = ("name", "parameters", "arguments")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz_"
_NEW_MESSAGE: Final[dict[str, Any]] = {
    "id": "",
    "type": grammar.MESSAGE.type,
    "role": "assistant",
    "status": "completed",
}


def _without_raw_calls(said: str, calls: list[ItemView]) -> str | None:
    """Return a text without the raw calls that were sent as calls, in their order; None if there are none."""
    waiting = calls[::-1]
    pieces: list[str] = []
    at, found = 0, False
    for match in _RAW_CALL.finditer(said):
        raw = match[0]
        pieces.append(said[at : match.start()])
        at = match.end()
        for back in range(1, min(len(waiting), _LOOK_AHEAD) + 1):
            if _is_raw_text_of(raw, waiting[-back]):
                del waiting[-back]
                found = True
                break
        else:
            if raw.strip() == _TAG:
                found = True
            else:
                pieces.append(raw)
    pieces.append(said[at:])
    return "".join(pieces) if found else None


def _is_forced_calls(raw: str, calls: list[ItemView]) -> bool:
    """Return whether a text is the JSON of forced calls, whole or cut, and says nothing but the calls that were sent (R45)."""
    at, found = 0, False
    for call in calls:
        name = call.item.get("name")
        for words in (name if type(name) is str else "", call.own.text if call.own is not None else ""):
            place = raw.find(words, at) if words else -1
            if place >= 0:
                if not _is_filling(raw[at:place]):
                    return False
                at, found = place + len(words), True
    return found and _is_filling(raw[at:])


def _is_filling(text: str) -> bool:
    """Return whether a text is what stands around the names and arguments of calls in JSON."""
    for word in _WORDS_OF_A_CALL:
        text = text.replace(word, "")
    return _FILLING.issuperset(text)


def _is_raw_text_of(raw: str, call: ItemView) -> bool:
    """Return whether all that the raw text says is a call's name and arguments, as far as they were sent."""
    name = call.item.get("name")
    if call.own is None or type(name) is not str or name not in raw:
        return False
    text = call.own.text
    if text in ("", "{}") and _is_before_arguments(raw[raw.find(name) + len(name) :]):
        return True  # cut before its arguments, which the stream may have closed as empty ones
    place = raw.rfind(text) if text else -1
    if place < 0:
        return False
    end = raw[place + len(text) :].lstrip(" \t\r\n}")
    return end in ("", "</tool_call>")


def _is_before_arguments(raw: str) -> bool:
    """Return whether a raw call breaks off behind its name, before its arguments begin."""
    rest = raw.removeprefix('"').lstrip(" \t\r\n,")
    if rest.startswith('"'):
        key = rest[1:]
        rest = key.lstrip(_LETTERS).removeprefix('"')
    return not rest.strip(" \t\r\n:")
