"""Fields of the rarer events that nothing truer is known of get their zero value."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message

LIFE, DONE = message(0, "Hi")
NOTE = {"type": "url_citation", "url": "http://a/", "title": "A", "start_index": 0, "end_index": 1}
ANNOTATION: Json = {
    "type": "response.output_text.annotation.added",
    "item_id": "msg_0",
    "output_index": 0,
    "content_index": 0,
    "annotation_index": 0,
    "annotation": NOTE,
}
PART = {**DONE["content"][0], "annotations": [NOTE]}
CLOSINGS = [LIFE[3], {**LIFE[4], "part": PART}, {**LIFE[5], "item": {**DONE, "content": [PART]}}]


@pytest.mark.parametrize("index", [None, "0", -1, True, 0.0])
def test_an_index_that_is_none_becomes_zero(index: Any) -> None:
    made = repaired(
        opened(
            *LIFE[:3],
            {**ANNOTATION, "annotation_index": index},
            *CLOSINGS,
            terminal({**DONE, "content": [PART]}),
        )
    )
    assert made.one("output_text.annotation.added")["annotation_index"] == 0
    assert made.repairs == {"missing_fields": 1}


def test_a_right_index_stays() -> None:
    assert untouched(opened(*LIFE[:3], ANNOTATION, *CLOSINGS, terminal({**DONE, "content": [PART]})))


@pytest.mark.parametrize(
    ("name", "zeros"),
    [
        ("response.image_generation_call.partial_image", {"partial_image_b64": "", "partial_image_index": 0}),
        ("response.shell_call_output_content.delta", {"command_index": 0, "delta": {}}),
        ("response.shell_call_output_content.done", {"command_index": 0, "output": []}),
        ("response.shell_call_command.added", {"command_index": 0, "command": ""}),
    ],
)
def test_every_kind_of_field_has_its_zero(name: str, zeros: Json) -> None:
    item = {
        "id": "x_1",
        "type": "image_generation_call" if "image" in name else "shell_call",
        "status": "in_progress",
    }
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    event = {"type": name, "item_id": "x_1", "output_index": 0}
    made = repaired(opened(added, event, terminal()), conforming=False)
    emitted = made.one(name.removeprefix("response."))
    assert {field: emitted[field] for field in zeros} == zeros
    right = {field: type(zero)(1) if isinstance(zero, int) else zero for field, zero in zeros.items()}
    made = repaired(opened(added, event | right, terminal()), conforming=False)
    assert "missing_fields" not in made.repairs
