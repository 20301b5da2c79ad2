"""The settings and the limits that every family has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""One frame: an image of 5 MB in base64 fits; an endless line does not."""
MAX_TEXT_BYTES: Final = 16 * 1024 * 1024
"""The most that the view remembers of one stream, text and items: four million tokens, far beyond any model's answers."""
MAX_HELD_EVENTS: Final = 8192
"""The most events that are held for a repair: when more come, all are released as they came."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Settings of the core that every family has; a family's own settings extend them.

    :ivar done_sentinel: whether ``[DONE]`` ends a stream.
    :ivar observe: whether upstream's bytes pass unchanged, and corrections are only counted.
    :ivar strict: whether an exception of a repair is raised (tests) instead of leaving the repair out.
    :ivar max_frame_bytes: size of the largest frame, in bytes.
    :ivar max_text_bytes: what may be remembered of one stream, in characters.
    """

    done_sentinel: bool = True
    observe: bool = False
    strict: bool = False
    max_frame_bytes: int = MAX_FRAME_BYTES
    max_text_bytes: int = MAX_TEXT_BYTES
