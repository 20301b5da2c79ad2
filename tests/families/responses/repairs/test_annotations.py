"""Annotations are objects, have the fields of their types, and are counted in their part."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message

LIFE, DONE = message(0, "Hi")
NOTE: Json = {"type": "url_citation", "url": "http://a/", "title": "A", "start_index": 0, "end_index": 1}


def added(annotation: Any = NOTE, **fields: Any) -> Json:
    """Return an annotation's event."""
    place = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.annotation.added", **place, "annotation": annotation, **fields}


@pytest.mark.parametrize("indexes", [(0, 0, 0), (None, None, None), (3, 4, 5), (-1, "1", 2.0), (1, 0, 2)])
def test_they_are_counted(indexes: tuple[Any, ...]) -> None:
    notes = [{**NOTE, "url": f"http://{number}/"} for number in range(3)]
    events = [added(note, annotation_index=index) for note, index in zip(notes, indexes, strict=True)]
    made = repaired(opened(*LIFE[:3], *events, *LIFE[3:], terminal(DONE)))
    assert made.values("output_text.annotation.added", "annotation_index") == [0, 1, 2]
    assert made.output[0]["content"][0]["annotations"] == notes


def test_in_each_part_anew() -> None:
    second = [
        {**event, "content_index": 1} for event in (LIFE[1], LIFE[2], added(annotation_index=1), *LIFE[3:5])
    ]
    made = repaired(opened(*LIFE[:3], added(annotation_index=0), *LIFE[3:5], *second))
    assert made.values("output_text.annotation.added", "annotation_index") == [0, 0]


def test_one_before_its_part_is_the_first() -> None:
    made = repaired(opened(LIFE[0], added(annotation_index=2)))
    assert made.values("output_text.annotation.added", "annotation_index") == [0]
    made = repaired(opened(added(annotation_index=2)))
    assert made.values("output_text.annotation.added", "annotation_index") == [0]


@pytest.mark.parametrize("annotation", ["http://a/", None, 7, [NOTE]])
def test_what_is_no_object_is_dropped(annotation: Any) -> None:
    made = repaired(opened(*LIFE[:3], added(annotation, annotation_index=0), *LIFE[3:], terminal(DONE)))
    assert made.body.count("output_text.annotation.added") == 0
    assert made.output == [DONE]
    assert made.repairs["annotations"] == 1


@pytest.mark.parametrize("closed", [4, 5])
def test_one_behind_the_end_of_its_text_is_still_one_of_it(closed: int) -> None:
    made = repaired(opened(*LIFE[:closed], added(annotation_index=0), *LIFE[closed:], terminal(DONE)))
    assert made.body.count("output_text.annotation.added") == 1
    assert made.output[0]["content"][0]["annotations"] == [NOTE]


def test_what_its_type_requires_is_filled_in() -> None:
    made = repaired(
        opened(*LIFE[:3], added({"type": "url_citation", "url": "u"}, annotation_index=0), *LIFE[3:])
    )
    whole = {"type": "url_citation", "url": "u", "title": "", "start_index": 0, "end_index": 0}
    assert made.one("output_text.annotation.added")["annotation"] == whole
    assert made.output[0]["content"][0]["annotations"] == [whole]


def test_right_ones_stay() -> None:
    part = {**DONE["content"][0], "annotations": [NOTE, NOTE]}
    closings = [LIFE[3], {**LIFE[4], "part": part}, {**LIFE[5], "item": {**DONE, "content": [part]}}]
    notes = [added(annotation_index=0), added(annotation_index=1)]
    assert untouched(opened(*LIFE[:3], *notes, *closings, terminal({**DONE, "content": [part]})))
