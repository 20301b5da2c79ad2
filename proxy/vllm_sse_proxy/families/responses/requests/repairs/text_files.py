"""Files that are text.

No release reads ``input_file``: 400 on the simple path, 500 on harmony 0.12, and newer harmony shows the model an empty text.
A file whose data are text becomes that text, under its name.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.members import text_of, type_of
from vllm_sse_proxy.families.responses.requests.base import PartRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

_DATA_URL: Final = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,=]+=[^;,]*)*(?P<base64>;base64)?,", re.ASCII)
_TEXT_TYPE: Final = re.compile(
    r"text/.*|application/(?:.*\+)?(?:json|xml|yaml|x-yaml|toml|x-toml|javascript|typescript|sql|x-sh|csv|x-ndjson|jsonl)",
    re.IGNORECASE,
)
_UNTYPED: Final = frozenset({"", "application/octet-stream"})
_NOT_IN_TEXT: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]|^%PDF-")


class TextFiles(PartRepair):
    """Turn text files into text."""

    __slots__ = ()

    name: ClassVar = "text_files"
    summary: ClassVar = "an `input_file` whose data are text becomes `input_text` under its name"
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def part(self, part: Body, facts: Facts) -> Body | None:  # noqa: ARG002 - every release
        """Return the text of a file; None if it is not a text, or its data are elsewhere."""
        if type_of(part) != "input_file":
            return None
        text = _text(text_of(part.get("file_data")))
        if text is None:
            return None
        name = text_of(part.get("filename"))
        return {"type": "input_text", "text": f"{name}:\n{text}" if name else text}


def _text(data: str) -> str | None:
    """Return the text in a file's data (a data URL, or base64); None if they are not text."""
    url = _DATA_URL.match(data)
    media_type = url["type"] if url is not None else ""
    if not data or not (media_type.lower() in _UNTYPED or _TEXT_TYPE.fullmatch(media_type)):
        return None
    if url is not None and url["base64"] is None:
        return None  # percent-encoded: nobody sends it
    try:
        text = base64.b64decode(data[url.end() if url is not None else 0 :], validate=True).decode()
    except ValueError:
        return None
    return None if media_type.lower() in _UNTYPED and _NOT_IN_TEXT.search(text) else text
