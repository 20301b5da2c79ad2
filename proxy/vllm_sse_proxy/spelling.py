"""What was probably meant by a misspelt word."""

from __future__ import annotations


def nearest(word: str, known: list[str], *, prefix: str = "") -> str:
    """Return which known word was probably meant, as the end of a sentence; empty if none is near.

    :param prefix: how all words begin; it makes none of them alike.
    """
    import difflib  # noqa: PLC0415 - 0.2 MiB of memory, and a server whose words are right has no use for it

    bare = [each.removeprefix(prefix) for each in known]
    found = difflib.get_close_matches(word.removeprefix(prefix), bare, n=1, cutoff=0.6)
    return f"; did you mean {known[bare.index(found[0])]}?" if found else ""
