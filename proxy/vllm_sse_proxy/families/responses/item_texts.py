"""What items say: the texts of emitted items, and of upstream's accounts of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import grammar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.responses.view import ItemView
    from vllm_sse_proxy.stream.event import Body

_SPECIAL: Final = re.compile(r"</?think>|<\|\w+\|>")
"""Special tokens that one of vLLM's two parses leaves in a text and the other does not; some of them with white space."""


def texts_in(parts: object) -> str:
    """Return all text of the parts of an account that are of known types."""
    texts: list[str] = []
    for part in parts if type(parts) is list else []:
        type_ = part.get("type") if type(part) is dict else None
        run = grammar.RUN_OF_PART.get(type_) if type(type_) is str else None
        text = part.get(run.field) if run is not None else None
        if type(text) is str:
            texts.append(text)
    return "".join(texts)


def text_of(item: Mapping[str, Any]) -> str:
    """Return all text of the content of a final or done item; of its summary where it has no other."""
    return texts_in(item.get("content")) or texts_in(item.get("summary"))


def emitted_text(item: ItemView) -> str:
    """Return all text of an item as the client has it."""
    if item.own is not None:
        return item.own.text
    return "".join([part.text for part in item.summaries] + [part.text for part in item.parts])


def emitted_length(item: ItemView) -> int:
    """Return how many characters the parts of an item have, without joining them."""
    return sum(part.length for part in item.summaries) + sum(part.length for part in item.parts)


def with_text_in_place(account: Body, item: ItemView) -> Body:
    """Return an account of reasoning with its text as content where it was streamed so and the account has it as a summary.

    A second parse of the answer, or a gateway, may move the thought; it must not be emitted again (issue 12, K9). The reverse
    is what ``reasoning_summaries`` does on purpose.

    :returns: the account itself if it has any text as content, or another summary.
    """
    sent = "".join([part.text for part in item.parts]) if item.kind.summaries else ""
    bare = bare_forms(sent)[0]
    if not bare or texts_in(account.get("content")):
        return account
    said = bare_forms(texts_in(account.get("summary")))[0]
    if not said.startswith(bare):
        return account
    whole = sent + said[len(bare) :]
    return {**account, "content": [{"type": item.kind.parts[0], "text": whole}], "summary": []}


def bare_forms(text: str) -> tuple[str, str]:
    """Return a text without special tokens and white space at its edges; once with the tokens gone, once with spaces for them.

    Split and strip, and no expression with white space around a token: that one tries every place in a run of white space
    (K11).
    """
    if "<" not in text:
        bare = text.strip()
        return bare, bare
    pieces = _SPECIAL.split(text)
    return "".join(pieces).strip(), " ".join(piece.strip() for piece in pieces).strip()
