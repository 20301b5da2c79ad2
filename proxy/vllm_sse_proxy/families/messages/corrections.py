"""What the stations after the first correct, by name: metrics, settings, documentation and tests enumerate it."""

from __future__ import annotations

from typing import Final

from vllm_sse_proxy.stream.correction import Correction, Station

CORRECTIONS: Final = (
    Correction(
        "message_openings",
        "a message begins with `message_start`, once and with all of its members",
        ("A01", "A06", "A20"),
        Station.COMPLETE,
    ),
    Correction(
        "block_kinds",
        "a delta is of a type that fits its block; text inside a call waits until the call is whole",
        ("A10", "A11"),
        Station.COMPLETE,
    ),
    Correction(
        "block_indexes",
        "`index` counts the blocks as they were started, the same in all events of a block",
        ("A10",),
        Station.COMPLETE,
    ),
    Correction(
        "block_closings",
        "every block is stopped once, before the next one starts and before `message_delta`",
        ("A10",),
        Station.COMPLETE,
    ),
    Correction(
        "thinking_signatures",
        "a thinking block ends with one signature",
        ("A15",),
        Station.COMPLETE,
    ),
    Correction(
        "held_stops",
        "a block is not stopped before an error, so that nobody takes what was cut for whole",
        ("A19",),
        Station.COMPLETE,
    ),
    Correction(
        "cut_calls",
        "a call whose input has no end becomes an error, unless the token limit cut it",
        ("A07", "A11", "A16", "C23", "C37", "C46"),
        Station.COMPLETE,
    ),
    Correction(
        "stop_reasons",
        "`stop_reason` is `tool_use` if and only if there is a call; an aborted message ends as an error",
        ("A12", "A13", "A14", "A17"),
        Station.COMPLETE,
    ),
    Correction(
        "usage_counts",
        "`usage` of `message_delta` has its count, and none falls",
        ("A06",),
        Station.COMPLETE,
    ),
    Correction(
        "message_closings",
        "a message ends with `message_stop`, or with an error if upstream did not finish it; nothing follows",
        ("A20", "A22"),
        Station.COMPLETE,
    ),
)
