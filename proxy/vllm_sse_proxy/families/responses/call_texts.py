"""What of a held text is a call, and what is text: judged by upstream's final output, or by the calls that it streamed.

Nothing here reads the syntax of calls. The final messages say which text is the answer; what the text has besides is the call
if a call of the final output is named in it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses.grammar import CUSTOM_CALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vllm_sse_proxy.families.responses.call_markers import Marker

_WORD: Final = re.compile(r"\w+")
_MARKUP: Final = "<[{|"
"""What no text behind a call may hold that is kept though no final message has it: it may be more markup."""
_MANY_LEAVES: Final = 64
"""Values of a call's arguments that are looked for in a text: enough to be sure, and few enough to stay linear."""


class Kept:
    """What of a held text is text.

    :ivar cut: so many characters from its beginning on.
    :ivar rest: what comes after those: words that the final message, or the text itself, has behind the call.
    :ivar end: where the call begins: all from here on is not text.
    """

    __slots__ = ("cut", "end", "rest")

    def __init__(self, cut: int, rest: str, end: int) -> None:
        self.cut = cut
        self.rest = rest
        self.end = end


def kept_of(emitted: str, held: str, place: int, marker: Marker, messages: Iterable[str]) -> Kept:
    """Return what of a held text stays text if the rest is a call.

    White space may differ: most of vLLM's parsers strip what stands around a call. Linear in the length of all texts.

    :param emitted: what the client has of the message already.
    :param held: what comes after it, and is held.
    :param place: where in ``held`` a call seems to begin; a final message that goes on with the text shows that it was quoted.
    :param messages: the texts of the final messages.
    """
    whole = emitted + held
    least = len(emitted) + place
    lead, words = len(whole) - len(whole.lstrip()), len(whole[:least].rstrip())
    best, longest = Kept(place, "", place), 0
    for said in messages:
        in_said = len(said) - len(said.lstrip())
        shared = _shared(whole, lead, said, in_said)
        in_whole, in_said = lead + shared, in_said + shared
        if shared <= longest or in_whole < words:
            continue  # the account of another message, or of this one and not as good
        longest = shared
        end = max(in_whole, least) - len(emitted)
        rest = said[in_said:]
        best = Kept(max(in_whole - len(emitted), 0), rest, end) if rest.strip() else Kept(end, "", end)
    if not best.rest:
        best.rest = _behind(held[best.end :], marker.end)
    return best


def _shared(one: str, first: int, other: str, second: int) -> int:
    """Return how many characters two texts have in common, from these places on."""
    low, high = 0, min(len(one) - first, len(other) - second)
    while low < high:
        middle = (low + high + 1) // 2
        if one[first + low : first + middle] == other[second + low : second + middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _behind(markup: str, end: str) -> str:
    """Return the words that come after the last call; nothing if it is not sure that they are words."""
    _, found, words = markup.rpartition(end) if end else ("", "", "")
    return words if found and words.strip() and not any(sign in words for sign in _MARKUP) else ""


def words_of(markup: str) -> frozenset[str]:
    """Return the words of a text, among which the names of calls are looked for."""
    return frozenset(_WORD.findall(markup))


def is_named(calls: Iterable[Mapping[str, Any]], words: frozenset[str]) -> bool:
    """Return whether one of the calls is named in a text, alone or flattened with its namespace.

    :param words: those of the text.
    """
    for call in calls:
        for name in names_of(call):
            wanted = _WORD.findall(name)
            if wanted and words.issuperset(wanted):
                return True
    return False


def names_of(call: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names under which a model calls what an item calls: its own, and that with its namespace before it."""
    name, namespace = call.get("name"), call.get("namespace")
    if isinstance(name, str) and name:
        yield name
        if isinstance(namespace, str) and namespace:
            yield f"{namespace}__{name}"


def is_repeated(call: Mapping[str, Any], streamed: str, markup: str) -> bool:
    """Return whether a text has all that a call was streamed with.

    :param streamed: the arguments of a function, or the input of a custom tool.
    """
    if call.get("type") == CUSTOM_CALL.type:
        return _stands_in(streamed, markup)
    try:
        value = orjson.loads(streamed or "{}")
    except ValueError:
        return False  # half of it
    return all(_stands_in(leaf, markup) for leaf in _leaves(value))


def _leaves(value: Any) -> list[Any]:
    """Return the values in a JSON value other than lists and objects, as far as they are looked at."""
    leaves: list[Any] = []
    nodes = [value]
    while nodes and len(leaves) < _MANY_LEAVES:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)
        else:
            leaves.append(node)
    return leaves


def _stands_in(leaf: Any, markup: str) -> bool:
    """Return whether a text has a value, as it is or as JSON writes it; true, false and null are written in many ways."""
    if isinstance(leaf, str):
        return leaf in markup or json.dumps(leaf, ensure_ascii=False)[1:-1] in markup
    return leaf is None or isinstance(leaf, bool) or json.dumps(leaf) in markup
