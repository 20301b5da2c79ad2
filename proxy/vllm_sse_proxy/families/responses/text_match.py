"""Messages and reasoning, matched with those of the final output: which of their texts a client was not sent.

They are matched by id and equal text, by equal text, by id where the content agrees, and then in order where it does. A final
text that has no item of its own may still stand within what was sent beyond the matched texts: one item streamed as several
(R17), several as one, the last token alone (R04). Matched text is used up, so an answer that repeats an earlier text, or is a
part of it, still counts as an answer of its own (issue 12, K9).

Only the search for one text within another may meet the same text again; it has a budget (:class:`_Search`), and beyond it a
text counts as unsent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.call_match import LOOK_AHEAD, text_or_none
from vllm_sse_proxy.families.responses.grammar import TEXT_KINDS, ItemKind, item_kind
from vllm_sse_proxy.families.responses.item_texts import bare_forms, emitted_text, text_of, texts_in
from vllm_sse_proxy.families.responses.raw_calls import TAG, is_forced_calls, without_raw_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.call_match import Placed
    from vllm_sse_proxy.families.responses.view import ItemView
    from vllm_sse_proxy.stream.event import Body

_NEW_MESSAGE: Final[dict[str, Any]] = {
    "id": "",
    "type": grammar.MESSAGE.type,
    "role": "assistant",
    "status": "completed",
}


class TextMatch:
    """Messages and reasoning: finds the emitted text for each final one, or the emitted text that contains it.

    :ivar growing: open items of which the final output holds more than was emitted.
    """

    def __init__(self, items: Sequence[ItemView], accounts: dict[int, Body], *, is_only: bool) -> None:
        self._accounts = accounts
        self._emitted = [_Emitted(item) for item in items if item.kind in TEXT_KINDS]
        self._calls = [item for item in items if item.own is not None and item.index not in accounts]
        self.growing: list[ItemView] = []
        self._elsewhere: dict[str, list[str]] | None = None
        self._is_only = is_only and len(items) > 1
        self._search = _Search(sum(emitted.size for emitted in self._emitted))
        self._pools: dict[str, str] = {}

    def match(self, finals: list[Placed]) -> list[Placed]:
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

    def _match_ids(self, finals: list[Placed], *, exactly: bool = False) -> list[Placed]:
        """An id that was used for two items (R12) may lead to the wrong one: what it names must agree.

        :param exactly: the texts must be equal: of two final texts, one may be the other's beginning.
        """
        known = {emitted.item.id: emitted for emitted in self._emitted if emitted.item.id}
        left: list[Placed] = []
        for placed in finals:
            final = placed[1]
            id_ = final.get("id")
            emitted = known.get(id_) if type(id_) is str else None
            agrees = emitted is not None and (not exactly or text_of(final) in emitted.texts)
            if emitted is None or not agrees or not self._settle(emitted, final):
                left.append(placed)
        return left

    def _match_equals(self, finals: list[Placed]) -> list[Placed]:
        waiting: dict[object, list[_Emitted]] = {}
        for emitted in reversed(self._emitted):
            if emitted.is_free:
                for text in emitted.texts:
                    waiting.setdefault((emitted.item.type, self._search.bare(text)[0]), []).append(emitted)
        left: list[Placed] = []
        for placed in finals:
            final = placed[1]
            text = self._search.bare(text_of(final))[0]
            same = waiting.get((final.get("type"), text)) if text else None
            while same and not same[-1].is_free:
                same.pop()
            if not same or not self._settle(same.pop(), final):
                left.append(placed)
        return left

    def _match_in_order(self, finals: list[Placed]) -> list[Placed]:
        free: dict[str, list[_Emitted]] = {}
        for emitted in reversed(self._emitted):
            if emitted.is_free:
                free.setdefault(emitted.item.type, []).append(emitted)
        left: list[Placed] = []
        for placed in finals:
            final = placed[1]
            waiting = free.get(str(final.get("type")), [])
            for back in range(1, min(len(waiting), LOOK_AHEAD) + 1):
                if self._settle(waiting[-back], final):
                    del waiting[-back:]
                    break
            else:
                left.append(placed)
        return left

    def _without_sent_parts(self, unsent: list[Placed]) -> list[Placed]:
        """Leave out the parts of a text that were sent, where upstream lost a piece of another part (issue 12, K9).

        Under the same id these may be beginnings, too. Under another one both texts must have several parts.
        """
        free = [emitted.item for emitted in self._emitted if emitted.is_free] if unsent else []
        known = {item.id: item for item in free}
        several = [item for item in free if len(item.parts) > 1]
        left: list[Placed] = []
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
        if said.lstrip().startswith(("[", "{")) and is_forced_calls(said, self._calls):
            return None
        if TAG not in said:
            return final
        left = without_raw_calls(said, self._calls)
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
        free = [emitted for emitted in self._emitted if emitted.is_free][:LOOK_AHEAD]
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
        if self._is_beyond_matches(said, kind):
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

    def _is_beyond_matches(self, said: str, kind: ItemKind) -> bool:
        """Return whether a text stands in what was sent of its kind beyond the matched texts; if so, it is used up."""
        pool = self._pools.get(kind.type)
        if pool is None:
            pool = self._pools[kind.type] = "".join(
                emitted.texts[0] if emitted.is_free else emitted.rest
                for emitted in self._emitted
                if emitted.item.kind is kind
            )
        if not self._search.allows(len(pool) + len(said)):
            return False
        left = _without(pool, said, bare_forms(pool), self._search.bare(said))
        if left is not None:
            self._pools[kind.type] = left
        return left is not None


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
            known = self._bare[text] = bare_forms(text)
        return known


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
            left = _without(text, said, search.bare(text), search.bare(said))
            if left is not None:
                return left
        return None

    def _other_than(self, text: str) -> str:
        """Return what the item says besides one of its texts: the content beside the summary, and the reverse.

        It may be of an item whose announcement was lost. Where both say the same they are one thought.
        """
        if len(self.texts) == 1 or text == self.texts[-1] or self.texts[0] == self.texts[1]:
            return ""
        return self.texts[1] if text == self.texts[0] else self.texts[0]


def _without(whole: str, said: str, bare_whole: tuple[str, str], bare_said: tuple[str, str]) -> str | None:
    """Return what a text says beside another that stands in it, as it is or bare; None if that does not stand in it."""
    for text, words in ((whole, said), *zip(bare_whole, bare_said, strict=True)):
        place = text.find(words) if words else -1
        if place >= 0:
            return text[:place] + text[place + len(words) :]
    return None


def _without_parts_of(final: Body, item: ItemView) -> Body:
    """Return a final text without the parts that an emitted item has, or their beginnings."""
    content = final.get("content")
    waiting = [part for part in item.parts if part.text.strip()]
    left: list[Any] = []
    for part in content if type(content) is list else []:
        said = texts_in([part])
        sent = next((one for one in waiting[:LOOK_AHEAD] if said.startswith(one.text)), None)
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


def _says_something(final: Body) -> bool:
    return bool(text_of(final).strip() or final.get("encrypted_content"))


def _without_repeated_texts(finals: list[Placed]) -> list[Placed]:
    """Leave out a final text that is there already, under the same id (K9)."""
    seen: set[object] = set()
    kept: list[Placed] = []
    for placed in finals:
        final = placed[1]
        id_ = text_or_none(final.get("id"))
        sign = (id_, final.get("type"), text_of(final))
        if id_ is None or sign not in seen:
            kept.append(placed)
            seen.add(sign)
    return kept
