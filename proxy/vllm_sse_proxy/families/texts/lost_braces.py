"""Calls of which a parser lost the last brace, and nothing else (C46: deepseek_v3 to 0.32, hermes 0.17).

Half an input looks the same, so it takes certainty: the model ended by itself, before its token limit and without a stop
sequence; one brace makes the input an object; what stands before it is not a number, which may go on; the object has all
that the tool requires; and its last value is not what the parser of 0.17 says again at the end, the object without that value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vllm_sse_proxy.families.partial_json import JsonScanner


def has_lost_its_brace(text: str, scanner: JsonScanner, required: list[Any] | None) -> bool:
    """Return whether an input lacks nothing but its last brace, as far as it can be read off it.

    :param scanner: has read the text.
    :param required: names of the arguments that the tool requires; None for an unknown tool.
    """
    if scanner.closing != "}" or required is None:
        return False
    said = text.rstrip()
    if said[-1] not in _ENDS_OF_VALUES:
        return False
    try:
        value = json.loads(said + "}", strict=False)
    except (ValueError, RecursionError):
        return False
    if type(value) is not dict or _says_itself_again(value):
        return False
    return all(name in value for name in required if type(name) is str)


def _says_itself_again(value: dict[str, Any]) -> bool:
    """Return whether the last value of an object is the object as it was before: ``{"a": 1, "b": {"a": 1}}`` (C17)."""
    *before, (_, last) = value.items()
    return bool(before) and last == dict(before)


_ENDS_OF_VALUES: Final = '"}]el'
"""The last characters of strings, objects, lists and words."""
