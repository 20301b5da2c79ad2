"""Streaks: deltas that follow one another and differ in nothing but their words and numbers.

A streak begins with a delta of upstream's in which no repair found anything wrong. What goes on with it is recognised in two
ways. :meth:`Streak.goes_on_with` compares an event that was parsed. :meth:`Streak.skim` compares bytes: of a delta that is
spelled like the first one, all but words and number is known already, so only these two are read. Both must come to the same;
whatever is not spelled alike, byte for byte, is left to the first way.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses.events import SHORT, dump_json
from vllm_sse_proxy.sse import encode_event

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.repairs.base import Repair
    from vllm_sse_proxy.families.responses.view import TextView


class Run:
    """Deltas that were taken by their bytes.

    :ivar words: those of each.
    :ivar pieces: the frame of each, numbered, in pieces for those who join many.
    :ivar renumbered: how many came with another number.
    :ivar flattened: how many came with words that were no string.
    """

    __slots__ = ("flattened", "pieces", "renumbered", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.pieces: list[bytes] = []
        self.renumbered = 0
        self.flattened = 0


class Streak:
    """What is known of the deltas of one streak.

    :ivar type: their canonical type.
    :ivar spelling: upstream's name for it.
    :ivar text: the text that they all go on with.
    :ivar readers: positions of the repairs that are asked about each of them.
    :ivar flattener: the repair that makes strings of words that are none, if it is the first to be asked; else None.
    """

    __slots__ = (
        "_fields",
        "_indexes",
        "_names",
        "_spelling",
        "_told",
        "_unread",
        "_values",
        "flattener",
        "readers",
        "spelling",
        "text",
        "type",
    )

    def __init__(
        self,
        first: Event,
        text: TextView,
        readers: tuple[int, ...],
        flattener: Repair | None,
    ) -> None:
        body = first.body
        self.type = first.type
        self.spelling: str = body["type"]
        self.text = text
        self.readers = readers
        self.flattener = flattener
        self._names = tuple(body)
        self._fields = itemgetter(*(name for name in body if name not in _OF_EACH_DELTA))
        self._values = self._fields(body)
        self._indexes = [name for name, value in body.items() if type(value) is int]
        self._unread = (
            None if first.raw is None else (first.raw, first)
        )  # numbering takes the bytes from the event
        self._spelling: _Spelling | None = None
        self._told: _Spelling | None = None

    def goes_on_with(self, event: Event) -> bool:
        """Tell whether an event belongs to the streak; its words may be of any shape."""
        body = event.body
        if event.type != self.type or tuple(body) != self._names or self._fields(body) != self._values:
            return False
        for name in self._indexes:  # noqa: SIM110 - once per token: a generator costs more than all the rest here
            if type(body[name]) is not int:  # true and 1.0 equal 1
                return False
        return True

    def skim(self, blocks: list[bytes], at: int, *, number: int, signs: str, room: int) -> Run:
        """Take the frames that go on with the streak and are spelled like its first, from ``blocks[at]`` on.

        :param number: the number that the first of them takes.
        :param signs: characters that none of the words may hold.
        :param room: how many characters they may hold together.
        """
        if self._unread is not None:
            self._read_spelling(*self._unread)
        spelling, ours = self._spelling, self._told
        run = Run()
        if spelling is None or ours is None:
            return run
        flatten = None if self.flattener is None else self.flattener.flatten
        words, pieces = run.words, run.pieces
        while at < len(blocks):
            block = blocks[at]
            sent, value = spelling.read(block)
            word = _value_of(value)
            is_flat = type(word) is str
            if not is_flat and flatten is not None and len(block) <= SHORT:
                word = flatten(word)
            if type(word) is not str or len(word) > room or (signs and any(sign in word for sign in signs)):
                break
            wanted = b"%d" % number
            is_numbered = sent == wanted
            if is_numbered and is_flat:
                pieces.append(block)
                pieces.append(b"\n\n")
            elif is_numbered or sent == _UNNUMBERED or _is_number(sent):
                # Without escapes and spaces around it there is one way to write a string.
                is_plain = is_flat and _is_quoted(value) and b"\\" not in value
                ours.write(wanted, value if is_plain else orjson.dumps(word), pieces)
                run.renumbered += not is_numbered
            else:
                break
            run.flattened += not is_flat
            words.append(word)
            room -= len(word)
            number += 1
            at += 1
        return run

    def _read_spelling(self, raw: bytes, first: Event) -> None:
        """Read how upstream spells the deltas, and how they are told once they have another number.

        :param first: the first one, which was told already.
        """
        self._unread = None
        sent, told = _Spelling.of(self.spelling, raw), _Spelling.of(self.spelling, dump_json(first.body))
        if first.body["type"] == self.spelling and sent is not None and told is not None:
            self._spelling, self._told = sent, told


_OF_EACH_DELTA: Final = frozenset({"delta", "sequence_number"})
_MANY_DIGITS: Final = 19
_UNNUMBERED: Final = b"-1"
"""What vLLM puts where it has no number."""


def _value_of(text: bytes) -> Any:
    """Read the words of a delta; None if they are spelled otherwise, or are JSON for lenient readers only."""
    if not text:
        return None
    if not _is_quoted(text) and b"\n" in text:  # white space in JSON, but the end of the line here
        return None
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _is_quoted(text: bytes) -> bool:
    return text[0] == _QUOTE == text[-1]


_QUOTE: Final = ord('"')


def _is_number(text: bytes) -> bool:
    """Tell whether this is how JSON writes a whole number that is not negative, and not longer than 64 bits."""
    return text.isdigit() and len(text) < _MANY_DIGITS and (len(text) == 1 or not text.startswith(b"0"))


def holds_more(value: object) -> bool:
    """Tell whether a value may hold something to mend: logprobs and whatever vendors add are looked at each time."""
    return isinstance(value, dict | list) and bool(value)


class _Spelling:
    """How a delta is spelled, but for its words and its number: what stands before, between and behind these."""

    __slots__ = ("_end", "_head", "_middle", "_number_is_first", "_tail")

    def __init__(self, head: bytes, middle: bytes, tail: bytes, *, number_is_first: bool) -> None:
        self._head = head
        self._middle = middle
        self._tail = tail
        self._end = tail + b"\n\n"
        self._number_is_first = number_is_first

    @classmethod
    def of(cls, name: str, data: bytes) -> _Spelling | None:
        """Read it off a delta whose other fields hold no objects or lists but empty ones; None if it cannot be told for sure.

        :param name: the name of the event.
        :param data: its JSON, valid.
        """
        words, number = _WORDS.search(data), _NUMBER.search(data)
        if words is None or number is None:
            return None
        number_is_first = number.start() < words.start()
        first, second = (number, words) if number_is_first else (words, number)
        head, middle, tail = (
            data[: first.start(1)],
            data[first.end(1) : second.start(1)],
            data[second.end(1) :],
        )
        rest = b"".join((head, middle, tail))
        # With an escape in it, or a line end, or a member twice, it could be read in another way.
        if (
            b"\\" in rest
            or b"\n" in rest
            or not rest.count(b'"delta"') == rest.count(b'"sequence_number"') == 1
        ):
            return None
        return cls(encode_event(name, b"")[:-2] + head, middle, tail, number_is_first=number_is_first)

    def read(self, block: bytes) -> tuple[bytes, bytes]:
        """Return the number and the words, as they are spelled in a frame; nothing at all for one that is spelled otherwise.

        What comes back was between what belongs there. Whether it is JSON is for the caller to find out.
        """
        if not (block.startswith(self._head) and block.endswith(self._tail)):
            return b"", b""
        # A number holds no quote, so the middle is where it borders on the number.
        if self._number_is_first:
            number, _, words = block[len(self._head) : -len(self._tail)].partition(self._middle)
        else:
            words, _, number = block[len(self._head) : -len(self._tail)].rpartition(self._middle)
        return number, words

    def write(self, number: bytes, words: bytes, pieces: list[bytes]) -> None:
        """Add a frame that is spelled like this to ``pieces``."""
        pieces.append(self._head)
        pieces.append(number if self._number_is_first else words)
        pieces.append(self._middle)
        pieces.append(words if self._number_is_first else number)
        pieces.append(self._end)


# A quote inside a JSON string is escaped, so these bytes are always a member.
_WORDS: Final = re.compile(rb'"delta":("[^"\\]*(?:\\.[^"\\]*)*")')
_NUMBER: Final = re.compile(rb'"sequence_number":(-?[0-9]+)(?=[,}])')
