"""Response objects that are answered as JSON: what was converted in the request is converted back in them, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses.requests import KEY, Conversion, conversion_in, unrepaired_conversion
from vllm_sse_proxy.families.responses.requests.document import read, write

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY: Final = f'"{KEY}"'.encode()
_CUSTOM: Final = b'"custom"'
_FUNCTION_CALL: Final = b'"function_call"'


def restored(raw: bytes, conversion: Conversion, *, reads_customs: bool) -> bytes:
    """Return a response object as the client expects it; the same bytes if there is nothing to convert.

    :param raw: upstream's JSON; anything else is returned as it is.
    :param conversion: of the request, where it is known; a background response carries its own.
    :param reads_customs: convert calls of custom tools as well that upstream answers as those of functions (R51).
    """
    has_customs = reads_customs and _CUSTOM in raw and _FUNCTION_CALL in raw
    if not conversion and not has_customs and _KEY not in raw:
        return raw
    tree = read(raw)
    if tree is None:
        return raw
    known = conversion or conversion_in(tree)
    if not known:
        known = unrepaired_conversion(tree) if has_customs else conversion
    back = known.restored_response(tree)
    return raw if back is tree else write(back) or raw


def items_of(raw: bytes) -> list[Any]:
    """Return the output items of a response object."""
    response: Mapping[str, Any] = read(raw) or {}
    output = response.get("output")
    return output if isinstance(output, list) else []
