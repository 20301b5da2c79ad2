"""Stop strings of a request in a text that comes in pieces (C41): where one stands, and where one may begin."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 256
"""Characters of the longest stop string that is looked for; text waits no longer than one may go on."""
_MOST: Final = 16
"""Stop strings of a request that are looked for: OpenAI takes four."""


def stop_strings_of(value: object) -> tuple[str, ...]:
    """Return the stop strings that a member of a request names: one string, or a list of them."""
    values = [value] if type(value) is str else value
    if type(values) is not list:
        return ()
    return tuple(one for one in values if type(one) is str and 0 < len(one) <= LONGEST)[:_MOST]


def signs_of(stops: tuple[str, ...]) -> str:
    """Return the characters that stop strings begin with, each once."""
    return "".join(dict.fromkeys(stop[0] for stop in stops))


def holds_stop(text: str, stops: tuple[str, ...]) -> bool:
    """Return whether a whole stop string stands in a text."""
    for stop in stops:  # noqa: SIM110 - compiled, a loop is several times faster than a generator
        if stop in text:
            return True
    return False


def begun_at(text: str, stops: tuple[str, ...]) -> int:
    """Return where at the end of a text a stop string may begin; the length of the text if none may."""
    least = len(text)
    for stop in stops:
        at = text.find(stop[0], max(0, len(text) - len(stop) + 1))
        while 0 <= at < least:
            if stop.startswith(text[at:]):
                least = at
                break
            at = text.find(stop[0], at + 1)
    return least


def settled_by(text: str, stops: tuple[str, ...]) -> int:
    """Return how many characters of a text belong to no stop string, whatever follows; -1 if a whole one stands in it."""
    return -1 if holds_stop(text, stops) else begun_at(text, stops)
