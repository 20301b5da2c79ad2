"""The text of a custom tool, as a function carries it: ``{"input": "…"}``. The way back is in :mod:`..tool_inputs`."""

from __future__ import annotations

from typing import Final

import orjson

INPUT: Final = "input"


def encode_input(text: str) -> str:
    """Return the arguments for an input, spelled as vLLM's own conversion spells them."""
    try:
        spelled = orjson.dumps(text).decode()
    except TypeError:  # half a surrogate pair
        spelled = orjson.dumps(text.encode("utf-8", "replace").decode()).decode()
    return f'{{"{INPUT}": {spelled}}}'
