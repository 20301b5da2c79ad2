"""The tables of item fields against the types of the `openai` package.

When one of these fails after an update of `openai`, an item has changed: add its field or status to
`proxy/vllm_sse_proxy/families/responses/item_fields.py`.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import TypeAdapter

from tests.families.responses.test_grammar import ITEMS
from vllm_sse_proxy.families.responses import construct, grammar, item_fields, item_objects
from vllm_sse_proxy.families.responses.view import ItemView

each_type = pytest.mark.parametrize("type_", sorted(ITEMS))
#: Names, texts and what else the other repairs fill.
ELSEWHERE = {
    "message": {"role", "content"},
    "reasoning": {"summary"},
    "function_call": {"name", "call_id", "arguments"},
    "custom_tool_call": {"name", "call_id", "input"},
    "mcp_call": {"name", "arguments"},
}


def statuses_of(type_: str) -> tuple[set[str], bool]:
    """Return the statuses that the package has for a type, and whether one is required."""
    field = ITEMS[type_].model_fields.get("status")
    if field is None:
        return set(), False
    parts = [field.annotation, *get_args(field.annotation)]
    (literal,) = (part for part in parts if get_origin(part) is Literal)
    return set(get_args(literal)), field.is_required() and NoneType not in parts


@each_type
def test_statuses(type_: str) -> None:
    known, required = statuses_of(type_)
    if type_ == "custom_tool_call":  # whose API sends what its SDK does not know
        known = {"in_progress", "completed", "incomplete"}
    assert item_fields.STATUSES.get(type_, frozenset()) == known
    assert (type_ in item_fields.WITHOUT_STATUS) is (not known)
    assert (type_ in item_fields.STATUS_IS_OPTIONAL) is (bool(known) and not required)


@each_type
def test_required_fields(type_: str) -> None:
    required = {name for name, field in ITEMS[type_].model_fields.items() if field.is_required()}
    known = {*item_fields.FIELDS.get(type_, {}), *ELSEWHERE.get(type_, ())}
    known |= {"call_id"} if type_ in grammar.OTHER_CALLS else set()
    assert required - {"id", "type", "status"} - known == set()
    assert known <= {*ITEMS[type_].model_fields}


@each_type
def test_optional_texts(type_: str) -> None:
    texts = {
        name
        for name, field in ITEMS[type_].model_fields.items()
        if not field.is_required() and {str, NoneType} <= {*get_args(field.annotation)}
    }
    assert texts - {"id"} == item_fields.OPTIONAL_TEXTS.get(type_, frozenset())
    for name in texts - {"id"}:
        assert item_fields.missing_fields(type_, {name: {"a": 1}})[name] == '{"a":1}'
        assert name not in item_fields.missing_fields(type_, {name: None})


@each_type
def test_other_optional_fields(type_: str) -> None:
    objects = set[str]()
    lists = set[str]()
    others: dict[str, type] = {}
    for name, field in ITEMS[type_].model_fields.items():
        if field.is_required() or NoneType not in get_args(field.annotation):
            continue
        value = next(one for one in get_args(field.annotation) if one is not NoneType)
        if get_origin(value) is list:
            lists.add(name)
        elif get_origin(value) is Literal:
            others[name] = str
        elif value in (int, bool):
            others[field.alias or name] = value
        elif value is not str:
            objects.add(name)
    objects -= item_fields.OPTIONAL_TEXTS.get(type_, frozenset())
    others.pop("status", None)
    assert others == item_fields.OPTIONAL_OTHERS.get(type_, {})
    lists -= {"content"} if type_ == "reasoning" else set()
    assert objects == item_fields.OPTIONAL_OBJECTS.get(type_, frozenset())
    assert lists == item_fields.OPTIONAL_LISTS.get(type_, frozenset())
    for name in {*objects, *lists, *others}:
        changes = item_fields.missing_fields(type_, {name: -1.5})
        assert changes[name] is None or changes[name]["content"] == -1.5


def test_the_error_of_a_tool() -> None:
    """A bare string, which older versions of the API had there, keeps its words in the error that the type knows."""
    known = {"type": "http_error", "code": 502, "message": "gone"}
    assert "error" not in item_fields.missing_fields("mcp_call", {"error": known})
    assert item_fields.missing_fields("mcp_call", {"error": "gone"})["error"] == {
        "type": "mcp_tool_execution_error",
        "content": "gone",
    }


@each_type
def test_an_item_with_nothing_but_its_id_is_made_whole(type_: str) -> None:
    """Everything that the package requires is filled in, and what is there stays."""
    item: dict[str, Any] = {"id": "x_1", "type": type_, "name": "f", "call_id": "c"}
    whole = item | item_objects.required_fields(item) | {"status": item_fields.closed_status(type_, None)}
    whole |= {"role": "assistant"} if type_ == "message" else {}
    whole |= {name: [] for name in ("content", "summary") if name in ELSEWHERE.get(type_, ())}
    whole |= {name: "" for name in ("arguments", "input") if name in ELSEWHERE.get(type_, ())}
    TypeAdapter(ITEMS[type_]).validate_python(whole, strict=True)
    assert item_objects.required_fields(whole) == {}
    if type_ not in item_fields.OF_OPEN_RESPONSES:
        assert item_objects.required_fields(item, open_responses=True) == {}


@pytest.mark.parametrize("kind", grammar.ITEM_KINDS.values(), ids=lambda kind: kind.type)
def test_an_invented_announcement_has_what_its_type_requires(kind: grammar.ItemKind) -> None:
    if item_fields.can_be_announced_by_id(kind):
        item = item_objects.new_item(kind, "x_1")
        TypeAdapter(ITEMS[kind.type]).validate_python(item, strict=True)
        assert item["status"] == "in_progress"


@each_type
@pytest.mark.parametrize(
    "status", [None, "in_progress", "completed", "incomplete", "failed", "searching", "complesed", 7]
)
def test_a_whole_life_has_statuses_that_its_type_knows(type_: str, status: Any) -> None:
    item = {
        "id": "x_1",
        "type": type_,
        "name": "f",
        "call_id": "c",
        "status": status,
        "arguments": "{}",
        "input": "",
    }
    item |= item_objects.required_fields(item)
    known = item_fields.STATUSES.get(type_)
    first, *_, last = construct.life_of_item(0, item)
    opened, closed = first.body["item"], last.body["item"]
    if known is not None:
        assert opened.get("status", "in_progress") in known
        assert closed["status"] in {*known, opened.get("status")} or (type_, closed["status"]) == (
            "apply_patch_call",
            "incomplete",
        )
    assert closed.get("status") not in ("in_progress", "searching")
    assert ItemView(0, opened).type == type_


@pytest.mark.parametrize(
    ("type_", "said", "closed"),
    [
        ("message", None, "completed"),
        ("message", "in_progress", "completed"),
        ("message", "done", "completed"),
        ("message", "failed", "incomplete"),
        ("message", "cancelled", "incomplete"),
        ("message", "incomplete", "incomplete"),
        ("mcp_call", "calling", "completed"),
        ("mcp_call", "error", "failed"),
        ("mcp_call", "timeout", "incomplete"),
        ("image_generation_call", "generating", "completed"),
        ("image_generation_call", "incomplete", "failed"),
        ("image_generation_call", "errored", "failed"),
        ("apply_patch_call", "in_progress", "completed"),
        ("apply_patch_call", "incomplete", "incomplete"),
        ("vendor_call", "queued", "completed"),
        ("vendor_call", "half done", "half done"),
        ("vendor_call", [], "completed"),
    ],
)
def test_closed_status(type_: str, said: Any, closed: str) -> None:
    assert item_fields.closed_status(type_, said) == closed
    assert item_fields.closed_status(type_, closed) == closed


@pytest.mark.parametrize(
    ("type_", "said", "opened"),
    [
        ("message", "completed", "in_progress"),
        ("web_search_call", "searching", "searching"),
        ("web_search_call", "completed", "in_progress"),
        ("shell_call_output", "completed", "completed"),
        ("shell_call_output", "failed", "in_progress"),
        ("program_output", "x", "completed"),
        ("mcp_list_tools", "x", None),
        ("vendor_call", "completed", "in_progress"),
        ("message", [], "in_progress"),
    ],
)
def test_opened_status(type_: str, said: Any, opened: str | None) -> None:
    assert item_fields.opened_status(type_, said) == opened


@pytest.mark.parametrize(
    ("type_", "status", "fitting"),
    [
        ("message", "incomplete", "incomplete"),
        ("vendor_call", "x", "x"),
        ("image_generation_call", "incomplete", "failed"),
        ("program_output", "in_progress", "completed"),
    ],
)
def test_fitting_status(type_: str, status: str, fitting: str) -> None:
    assert item_fields.fitting_status(type_, status) == fitting


@pytest.mark.parametrize(
    ("item", "missing"),
    [
        ({"type": "web_search_call", "action": None}, {"action": {"type": "search", "query": ""}}),
        ({"type": "web_search_call", "action": {}}, {"action": {"type": "search", "query": ""}}),
        ({"type": "web_search_call", "action": {"type": "search"}}, {}),
        ({"type": "web_search_call", "action": {"type": 7}}, {"action": {"type": "search"}}),
        ({"type": "web_search_call", "action": {"type": "open_page", "url": "u"}}, {}),
        (
            {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}},
            {"action": {"command": ["ls"], "type": "exec", "env": {}}},
        ),
        ({"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"], "timeout_ms": None}}, {}),
        ({"type": "tool_search_call", "arguments": None, "execution": "client"}, {}),
        ({"type": "tool_search_call", "execution": "x"}, {"arguments": {}, "execution": "server"}),
        ({"type": "tool_search_call", "arguments": "x", "execution": []}, {"execution": "server"}),
        ({"type": "function_call_output", "output": []}, {}),
        ({"type": "function_call_output", "output": {}}, {"output": ""}),
        ({"type": "custom_tool_call_output", "output": [], "call_id": []}, {"call_id": ""}),
        ({"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "p"}}, {}),
        ({"type": "vendor_call"}, {}),
        ({"type": ["x"]}, {}),
        ({}, {}),
    ],
)
def test_what_is_there_stays(item: dict[str, Any], missing: dict[str, Any]) -> None:
    assert item_objects.required_fields(item) == missing


def test_calls_get_a_call_id_that_stays_the_same() -> None:
    call = {"type": "shell_call", "id": "sh_1", "action": {"commands": []}}
    first = item_objects.required_fields(call)
    assert first["call_id"].startswith("call_")
    assert item_objects.required_fields({**call, "call_id": "", "status": "completed"}) == first


def test_what_comes_with_the_done_item_is_announced_as_openais_api_does() -> None:
    image = {"type": "image_generation_call", "result": "iVBO", "status": "completed"}
    assert item_fields.announced_fields(image) == {"result": None}
    assert item_fields.announced_fields({"type": ["x"], "result": "iVBO"}) == {}


URL = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
NESTED = {"url_citation": {name: value for name, value in URL.items() if name != "type"}}


class TestAnnotations:
    @pytest.mark.parametrize(
        ("annotation", "whole"),
        [
            (URL, URL),
            (
                {"type": "url_citation", "url": "u"},
                {"type": "url_citation", "url": "u", "title": "", "start_index": 0, "end_index": 0},
            ),
            ({**URL, "start_index": 1.5, "title": None}, {**URL, "start_index": 0, "title": ""}),
            (
                {"type": "url_citation", **NESTED},
                {**URL, **NESTED},
            ),
            (
                {"url": "u"},
                {"url": "u", "type": "url_citation", "title": "", "start_index": 0, "end_index": 0},
            ),
            ({"file_id": "f"}, {"file_id": "f", "type": "file_path", "index": 0}),
            (
                {"file_id": "f", "filename": "n"},
                {"file_id": "f", "filename": "n", "type": "file_citation", "index": 0},
            ),
            ({"a": 1}, {"a": 1}),
            ({"type": "vendor", "vendor": {}}, {"type": "vendor", "vendor": {}}),
        ],
    )
    def test_it_has_the_fields_of_its_type(self, annotation: dict[str, Any], whole: dict[str, Any]) -> None:
        assert item_fields.whole_annotation(annotation) == whole
        assert item_fields.whole_annotation(whole) is whole

    def test_what_is_no_object_is_none(self) -> None:
        assert item_fields.whole_annotations(["u", None, URL]) == [URL]
        right = [URL]
        assert item_fields.whole_annotations(right) is right
