"""Documents and search results: their words, and the notes that take the place of what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.messages.requests.blocks import joined_texts, text_block
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

DOCUMENTS: Final = frozenset({"document", "search_result"})
"""Types of blocks that no release reads."""
_ALL_TEXT: Final = frozenset({"text"})


def readable(block: Body) -> Body | None:
    """Return the text of a document or a search result; None if it is something else, or not all of it is text."""
    type_ = type_of(block)
    if type_ == "search_result":
        heading = [text_of(block.get("title")), text_of(block.get("source"))]
        words = joined_texts(block.get("content"))
    elif type_ == "document":
        heading = [text_of(block.get("title")), text_of(block.get("context"))]
        words = _words(block.get("source"))
    else:
        return None
    if not words:
        return None
    return text_block("\n".join([*filter(None, heading), words]), block)


def note_for(block: Body) -> Body | None:
    """Return the note that takes the place of a document or a file; None for any other block."""
    type_ = type_of(block)
    if type_ in DOCUMENTS or type_ == "container_upload":
        title = text_of(block.get("title"))
        named = f' "{title}"' if title else ""
        return text_block(f"[There was a document{named} here, which this model cannot read.]", block)
    source = block.get("source")
    if type_ == "image" and type_of(source) == "file":
        return picture_note(block)
    return None


def picture_note(block: Body) -> Body:
    """Return the note that takes the place of a picture."""
    return text_block("[There was an image here, which this model cannot see.]", block)


def _words(source: object) -> str:
    """Return the words of a document's source; the empty string if it is not a text, or holds more than texts."""
    if not isinstance(source, dict):
        return ""
    if source.get("type") == "text":
        return text_of(source.get("data"))
    content = source.get("content")
    if isinstance(content, list) and not all(type_of(block) in _ALL_TEXT for block in content):
        return ""
    return joined_texts(content) if source.get("type") == "content" else ""
