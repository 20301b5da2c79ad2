"""Names of functions, as parsers of vLLM send them: what does not belong to one (C21), and what is only half of one (C49)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_NAME: Final = re.compile(r"[\w.:/-]+")
_CONTROL: Final = "<|"


def clean_name(name: str, tools: Collection[str]) -> str:
    """Return a name without the control tokens behind it: the name that it is if that is not certain.

    With a list of tools, any character that no name can have ends it; without one, only the beginning of a token.

    :param tools: the names of those of the request; empty if it has none.
    """
    if not name or name in tools:
        return name
    if not tools:
        before = name.partition(_CONTROL)[0]
        return before if before and _NAME.fullmatch(before) is not None else name
    begins = _NAME.match(name.lstrip())
    return begins.group() if begins is not None and begins.group() in tools else name


def may_be_half(name: str, tools: Collection[str]) -> bool:
    """Return whether a name may have been cut: it is the beginning of that of a tool, by itself or in kimi's spelling."""
    return name not in tools and any(
        tool.startswith(name) or f"functions.{tool}".startswith(name) for tool in tools
    )
