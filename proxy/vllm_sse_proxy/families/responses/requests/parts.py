"""Parts of messages and outputs: texts, pictures, files, and the notes that take the place of what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

TEXTS: Final = frozenset({"input_text", "output_text", "text"})
"""Types of parts that consist of their ``text``. ``text`` is chat completions' name."""


def note_for(part: Body) -> Body | None:
    """Return the note that takes the place of a picture or a file; None for any other part."""
    type_ = type_of(part)
    if type_ == "input_image":
        return _note("[There was an image here, which this model cannot see.]")
    if type_ == "input_file":
        return file_note(part)
    return None


def file_note(part: Body) -> Body:
    """Return the note that takes the place of a file."""
    name = text_of(part.get("filename"))
    named = f' "{name}"' if name else ""
    return _note(f"[There was a file{named} here, which this model cannot read.]")


def joined_texts(parts: list[Any], separator: str) -> str | None:
    """Return the text of all parts together; None if one of them is not text."""
    texts = [part["text"] for part in parts if type_of(part) in TEXTS and isinstance(part.get("text"), str)]
    return separator.join(texts) if len(texts) == len(parts) else None


def input_part(part: Any) -> Body | None:
    """Return a part of a question or an output under its name in the Responses API; None if it has that name."""
    type_ = type_of(part)
    if type_ in TEXTS and type_ != "input_text" and isinstance(part.get("text"), str):
        return {"type": "input_text", "text": part["text"]}
    picture = part.get("image_url") if type_ == "image_url" else None
    if isinstance(picture, dict):
        detail = text_of(picture.get("detail")) or "auto"
        return {"type": "input_image", "image_url": picture.get("url"), "detail": detail}
    return None


def role_of(item: Body) -> str:
    """Return the role of a message; the empty string for any other item."""
    return text_of(item.get("role")) if item.get("type") in (None, "message") else ""


def _note(text: str) -> Body:
    return {"type": "input_text", "text": text}
