"""Response objects that clients can read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.streams import response
from vllm_sse_proxy import RequestContext
from vllm_sse_proxy.families.responses import response_objects
from vllm_sse_proxy.families.responses.ids import derive_id
from vllm_sse_proxy.families.responses.view import ClientView


def test_a_whole_object_is_readable() -> None:
    assert response_objects.is_readable(response())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", None),
        ("created_at", True),
        ("output", None),
        ("tools", {}),
        ("parallel_tool_calls", 1),
        ("object", "list"),
        ("tool_choice", "perhaps"),
        ("tool_choice", {}),
        ("tools", ["x"]),
        ("tools", [{"name": "f"}]),
        ("temperature", "hot"),
        ("top_logprobs", True),
        ("error", "x"),
        ("user", 7),
    ],
)
def test_one_that_a_typed_client_cannot_read_is_not(field: str, value: Any) -> None:
    assert not response_objects.is_readable(response() | {field: value})


def test_what_is_plainly_usable_is_usable() -> None:
    values: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], [1], [{"type": "f"}], {}, {"type": "f"}]
    plain = response_objects._PLAINLY_USABLE
    found = [(name, value) for name in plain for value in values if type(value) in plain[name]]
    assert len(found) > 50
    assert [(name, value) for name, value in found if not response_objects._is_usable(name, value)] == []


def test_what_upstream_said_comes_before_what_the_request_said() -> None:
    asked = RequestContext(
        seed="s",
        body={"model": "asked", "temperature": 0.5, "store": "no boolean", "instructions": "Be."},
    )
    made = response_objects.complete_response({"model": "said", "temperature": 0.0}, ClientView(), asked)
    assert (made["model"], made["temperature"], made["store"], made["instructions"]) == (
        "said",
        0.0,
        True,
        "Be.",
    )
    assert made["id"] == derive_id("resp", "s")


def test_so_far_is_what_was_heard_last() -> None:
    view = ClientView()
    assert response_objects.response_so_far(view, RequestContext())["status"] == "in_progress"
    view.response = response()
    assert response_objects.response_so_far(view, RequestContext()) is view.response


def test_an_object_of_a_known_shape_is_completed_like_the_first_of_it() -> None:
    asked = RequestContext(body={"temperature": 0.5, "metadata": {"a": "b"}})
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "queued",
        "model": "m",
        "output": [],
    }
    cases: tuple[dict[str, Any], ...] = (
        {},
        {"metadata": None},
        {"model": ""},
        {"store": None},
        {"tools": [{}]},
        {"id": None},
    )
    for changes in cases:
        given = {**whole, **changes}
        response_objects._SHAPES.clear()
        first = response_objects.complete_response(given, ClientView(), asked)
        again = response_objects.complete_response({**given}, ClientView(), asked)
        assert (first, [*first]) == (again, [*again])
        assert first["temperature"] == 0.5
    assert response_objects.complete_response({**whole, "metadata": None}, ClientView(), asked)[
        "metadata"
    ] == {"a": "b"}


def test_shapes_that_upstream_makes_up_do_not_fill_the_memory() -> None:
    response_objects._SHAPES.clear()
    response_objects.complete_response({"x" * 5000: 1}, ClientView(), RequestContext())
    assert not response_objects._SHAPES
    for number in range(1000):
        response_objects.complete_response({f"field_{number}": 1}, ClientView(), RequestContext())
    assert 0 < len(response_objects._SHAPES) <= 64
