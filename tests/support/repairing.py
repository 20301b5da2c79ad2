"""Upstream events in, the client's events out: the level at which the core's tests speak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.replay import faults
from tests.support.streams import Json, events_of, response, wire
from vllm_sse_proxy import BodyEnd, Dialect, RequestContext, StreamNormalizer, build_plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm_sse_proxy import Ending

PREFIX = "response."


@dataclass(frozen=True)
class Repaired:
    """What became of one stream."""

    stream: bytes
    normalizer: StreamNormalizer

    @property
    def events(self) -> list[Json]:
        return events_of(self.stream)

    @property
    def names(self) -> list[str]:
        """Types of the events, without `response.`."""
        return [event["type"].removeprefix(PREFIX) for event in self.events]

    @property
    def body(self) -> list[str]:
        """The same, without the opening events."""
        return [name for name in self.names if name not in ("created", "in_progress", "queued")]

    @property
    def repairs(self) -> dict[str, int]:
        return self.normalizer.tally.repairs

    @property
    def ending(self) -> Ending | None:
        return self.normalizer.ending

    @property
    def output(self) -> list[Json]:
        """The items of the terminal event."""
        return [dict(item) for item in self.events[-1]["response"]["output"]]

    def all(self, name: str) -> list[Json]:
        return [event for event in self.events if event["type"].removeprefix(PREFIX) == name]

    def one(self, name: str) -> Json:
        (event,) = self.all(name)
        return event

    def values(self, name: str, field: str) -> list[Any]:
        return [event.get(field) for event in self.all(name)]


def repaired(
    events: Iterable[Json] | bytes,
    *,
    end: BodyEnd = BodyEnd.EOF,
    request: RequestContext | None = None,
    conforming: bool = True,
    **settings: Any,
) -> Repaired:
    """Send a stream through the core, strict; what comes out must conform, unless `conforming` is False.

    Events without a number get the next one.
    """
    stream = events if isinstance(events, bytes) else wire(_numbered(events), done=False)
    normalizer = StreamNormalizer(build_plan(**{"strict": True, **settings}), request or RequestContext())
    made = normalizer.feed(stream) + normalizer.finish(end)
    if conforming:
        assert not faults(made, dialect=settings.get("dialect", Dialect.OPENAI))
    return Repaired(made, normalizer)


def opened(*events: Json) -> list[Json]:
    """Return a stream's events after the two opening ones."""
    return [
        {"type": "response.created", "response": response()},
        {"type": "response.in_progress", "response": response()},
        *events,
    ]


def terminal(*items: Json, name: str = "completed", **fields: Any) -> Json:
    """Return a terminal event with these items."""
    return {"type": f"response.{name}", "response": response(name, list(items), **fields)}


def untouched(events: list[Json]) -> bool:
    """Return whether a stream needs no repair and leaves with the same data."""
    made = repaired(events)
    return not made.repairs and made.events == _numbered(events)


def _numbered(events: Iterable[Json]) -> list[Json]:
    return [{"sequence_number": number, **event} for number, event in enumerate(events)]
