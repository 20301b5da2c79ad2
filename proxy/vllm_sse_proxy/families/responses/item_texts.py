"""What items say: the texts of emitted items, and of upstream's accounts of them."""

from __future__ import annotations

from vllm_sse_proxy.families.responses import grammar


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
