"""Deltas that wait without having been walked: a repair would hold them, and says by their words alone when it would not.

A stop string may begin at the end of a delta, and the next one shows that it does not (nine of ten times). To walk both
would cost ten times what the fast path does. So the delta waits as it came, with what the fast path made of it. It leaves
so, or it is walked after all, before whatever comes next is: nothing else happened meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.rewrites import Rewrite


class Delta:
    """One delta that waits.

    :ivar frame: as it came, with its blank line.
    :ivar words: its words.
    :ivar made: the frame as it is to leave.
    """

    __slots__ = ("frame", "made", "words")

    def __init__(self, frame: bytes, words: str, made: bytes) -> None:
        self.frame = frame
        self.words = words
        self.made = made


class Waiting:
    """The deltas that wait, all of one text and spelled alike.

    :ivar rewrite: the form that they fit.
    :ivar words: those of all of them.
    """

    __slots__ = ("_deltas", "rewrite", "words")

    def __init__(self, rewrite: Rewrite) -> None:
        self.rewrite = rewrite
        self.words = ""
        self._deltas: list[Delta] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits any more."""
        return not self._deltas

    def add(self, delta: Delta) -> None:
        """Let a delta wait."""
        self._deltas.append(delta)
        self.words += delta.words

    def take(self, settled: int) -> list[Delta]:
        """Take and return the deltas of which all words are among the first so many characters of all that wait."""
        deltas, end, count = self._deltas, 0, 0
        while count < len(deltas) and end + len(deltas[count].words) <= settled:
            end += len(deltas[count].words)
            count += 1
        taken, self._deltas = deltas[:count], deltas[count:]
        self.words = self.words[end:]
        return taken
