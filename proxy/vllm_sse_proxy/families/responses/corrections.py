"""The named corrections of the stations after the first: metrics, settings, documentation and tests enumerate them."""

from __future__ import annotations

from typing import Final

from vllm_sse_proxy.stream.correction import Correction, Station

CORRECTIONS: Final = (
    Correction(
        "response_ids",
        "`response.id` is the same in every event",
        ("P02",),
        Station.ADDRESS,
    ),
    Correction(
        "item_ids",
        "`item_id` and `item.id` are non-empty, unique and the same in all events of an item",
        ("R07", "R08", "R11", "R12", "R13", "R36", "R49", "F01"),
        Station.ADDRESS,
        needed="every station after it finds an item by the id that it gives",
    ),
    Correction(
        "output_indexes",
        "`output_index` counts the items as they were announced, the same in all events of an item",
        ("R07", "R22", "F01"),
        Station.ADDRESS,
        needed="every station after it finds an item by the index that it gives",
    ),
    Correction(
        "content_indexes",
        "`content_index` and `summary_index` count the parts of an item as they were announced",
        ("R05", "R06", "F01"),
        Station.ADDRESS,
        needed="every station after it finds a part by the index that it gives",
    ),
    Correction(
        "annotations",
        "`annotation_index` counts the annotations of a part, and each has the fields of its type",
        ("F01",),
        Station.ADDRESS,
    ),
    Correction(
        "headless_arguments",
        "arguments of a call whose first delta was lost are emitted whole, in one delta",
        ("R12",),
        Station.COMPLETE,
    ),
    Correction(
        "response_openings",
        "`response.created` and `response.in_progress` come first, once each",
        ("R09", "F01"),
        Station.COMPLETE,
    ),
    Correction(
        "late_events",
        "duplicates, and events after the end of their item, part or response, are dropped",
        ("R08",),
        Station.COMPLETE,
        needed="upstream's own event for what another correction has inserted would come as a second one",
    ),
    Correction(
        "item_openings",
        "a missing `output_item.added` is inserted before the item's first event",
        ("R09", "R10", "R17", "F01"),
        Station.COMPLETE,
    ),
    Correction(
        "held_closings",
        "the last item closes with the status and the whole text that the terminal event shows",
        ("R16", "R19"),
        Station.COMPLETE,
    ),
    Correction(
        "part_openings",
        "a missing `content_part.added` is inserted, and a part has a type that its item can hold",
        ("R09", "R25", "F01"),
        Station.COMPLETE,
    ),
    Correction(
        "missing_closings",
        "missing `*.done` events are inserted, with text that only the done item or the terminal event holds",
        ("R09", "R10", "R25", "R36", "R41", "R48", "R01", "F01"),
        Station.COMPLETE,
    ),
    Correction(
        "done_texts",
        "the texts and logprobs of `*.done` and `content_part.done` are those of the deltas",
        ("R10", "R12", "R19", "R28", "R33", "R35", "R49", "F01"),
        Station.COMPLETE,
    ),
    Correction(
        "done_items",
        "`output_item.done` has the type, names, texts and parts that were streamed",
        ("R10", "R11", "R12", "R17", "R35"),
        Station.COMPLETE,
    ),
    Correction(
        "unterminated_streams",
        "a stream without a terminal event ends as `response.failed`, unless its `[DONE]` ends a whole answer",
        ("R01", "R02", "R29", "R44", "F01"),
        Station.COMPLETE,
    ),
    Correction(
        "terminal_types",
        "the terminal event's type agrees with `response.status`",
        ("R15", "R02", "R48"),
        Station.COMPLETE,
    ),
    Correction(
        "unsent_items",
        "items that only the terminal event shows are emitted before it, from announcement to closing",
        ("R03", "R09", "R10", "R17", "R20", "R21", "R37", "R45"),
        Station.COMPLETE,
    ),
    Correction(
        "unreadable_calls",
        "a call closed without readable arguments waits for the terminal event, which may have them",
        ("R19",),
        Station.COMPLETE,
    ),
    Correction(
        "final_output",
        "`response.output` of the terminal event holds the streamed items: ids, order, texts, statuses",
        ("R04", "R11", "R16", "R23", "R38", "R39", "R40", "R41", "R42", "R45", "R46", "R47"),
        Station.COMPLETE,
        needed="the final output must agree with items that other corrections have changed",
    ),
    Correction(
        "open_responses_fields",
        "dialect `open-responses`: all 31 keys of the response, whole logprobs, no null where the schema forbids it",
        ("R27",),
        Station.EMIT,
    ),
    Correction(
        "nested_numbers",
        "a `sequence_number` inside an item takes the event's number, or goes",
        ("R14", "R31"),
        Station.EMIT,
    ),
)
