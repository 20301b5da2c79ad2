"""What steers the repair of Responses streams, the same for every stream of a process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vllm_sse_proxy.stream.settings import StreamSettings


class Dialect(StrEnum):
    """Whose names the events go by (docs/configuration.md)."""

    OPENAI = "openai"
    OPEN_RESPONSES = "open-responses"
    UPSTREAM = "upstream"


class Reasoning(StrEnum):
    """How raw reasoning is emitted."""

    AUTO = "auto"
    """As a summary too where the request asks for summaries, else raw."""
    RAW = "raw"
    SUMMARY = "summary"


class NestedNumbers(StrEnum):
    """What becomes of a ``sequence_number`` inside an item, a part or a response (R14)."""

    RENUMBER = "renumber"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class ResponsesSettings(StreamSettings):
    """What steers the core; the same for every stream of a process."""

    dialect: Dialect = Dialect.OPENAI
    reasoning: Reasoning = Reasoning.AUTO
    nested_numbers: NestedNumbers = NestedNumbers.RENUMBER
