"""The grammar tables against the types of the `openai` package.

When one of these fails after an update of `openai`, the protocol has changed: add the event or field to
`proxy/vllm_sse_proxy/families/responses/grammar.py`, and say in its tables what it belongs to.
"""

from typing import Any, get_args, get_origin

import pytest
from openai.types import responses as sdk
from pydantic import BaseModel

from tests.support.streams import openais
from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import EVENT_FIELDS, Holder, Kind


def members(annotation: Any) -> list[type[BaseModel]]:
    """Return the classes of a union, with `Annotated` around it or not."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for part in get_args(annotation):
        if get_origin(part) is not None or (isinstance(part, type) and issubclass(part, BaseModel)):
            found += members(part)
    return found


def name_of(model: type[BaseModel]) -> str:
    (name,) = get_args(model.model_fields["type"].annotation)
    return str(name)


EVENTS = {name_of(model): model for model in members(sdk.ResponseStreamEvent)}
ITEMS = {name_of(model): model for model in members(sdk.ResponseOutputItem)}
PARTS = {
    **{name_of(m): m for m in members(sdk.ResponseContentPartAddedEvent.model_fields["part"].annotation)},
    **{
        name_of(m): m
        for m in members(sdk.ResponseReasoningSummaryPartAddedEvent.model_fields["part"].annotation)
    },
}


def required(model: type[BaseModel]) -> dict[str, Kind]:
    """Return the required fields of an event class, beside type and number, as the table would say them."""
    return {
        name: kind_of(field.annotation)
        for name, field in model.model_fields.items()
        if field.is_required() and name not in ("type", "sequence_number")
    }


def kind_of(annotation: Any) -> Kind:
    if annotation is str:
        return Kind.STRING
    if annotation is int:
        return Kind.INDEX
    return Kind.LIST if get_origin(annotation) is list else Kind.OBJECT


def test_the_package_is_read_as_meant() -> None:
    """If the package's union is built differently one day, the tests below would compare nothing."""
    assert len(EVENTS) >= 59
    assert "response.output_text.delta" in EVENTS
    assert "function_call" in ITEMS
    assert {*PARTS} == {"output_text", "refusal", "reasoning_text", "summary_text"}


def test_every_event_of_the_package_is_in_the_table() -> None:
    missing = {name: required(model) for name, model in EVENTS.items() if name not in EVENT_FIELDS}
    assert not missing, f"openai has events that grammar.EVENT_FIELDS lacks: {missing}"


def test_every_event_of_the_table_is_in_the_package() -> None:
    unknown = {*EVENT_FIELDS} - {*EVENTS}
    assert not unknown, f"grammar.EVENT_FIELDS has events that openai lacks: {unknown}"


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_required_fields(name: str) -> None:
    assert name in EVENT_FIELDS, f"add {name} to grammar.EVENT_FIELDS: {required(EVENTS[name])}"
    assert EVENT_FIELDS[name] == required(EVENTS[name])


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_has_a_number(name: str) -> None:
    field = EVENTS[name].model_fields["sequence_number"]
    assert (field.annotation, field.is_required()) == (int, True)


@pytest.mark.parametrize("name", sorted(name for name in EVENTS if name.endswith(".delta")))
def test_every_delta_belongs_to_a_text(name: str) -> None:
    """A new delta is either a text of the table or named here, with the reason why not."""
    unsent = {
        "response.audio.delta": "has no item",
        "response.audio.transcript.delta": "has no item",
        "response.shell_call_command.delta": "is addressed by command_index, in an item that only OpenAI runs",
        "response.shell_call_output_content.delta": "is an object",
    }
    assert (name in grammar.RUN_OF_DELTA) is not (name in unsent)


@pytest.mark.parametrize("run", grammar.TEXT_RUNS, ids=lambda run: run.name)
def test_text(run: grammar.TextRun) -> None:
    """A text's events, the fields that hold it, and what holds it are those of the package."""
    assert EVENT_FIELDS[run.delta]["delta"] is Kind.STRING
    assert EVENT_FIELDS[run.done][run.done_field] is Kind.STRING
    if run.holder is Holder.ITEM:
        holders = [kind.type for kind in grammar.ITEM_KINDS.values() if kind.run is run]
        assert holders
        assert all(run.field in ITEMS[type_].model_fields for type_ in holders)
        assert run.part_type is None
    else:
        assert PARTS[str(run.part_type)].model_fields[run.field].annotation is str
        index = "summary_index" if run.holder is Holder.SUMMARY else "content_index"
        assert index in EVENT_FIELDS[run.delta]


@pytest.mark.parametrize("kind", grammar.ITEM_KINDS.values(), ids=lambda kind: kind.type)
def test_item_kind(kind: grammar.ItemKind) -> None:
    """An item type is the package's, and so are its progress events and the fields that it must name."""
    model = ITEMS[kind.type]
    for name in (*kind.progress, *kind.finish):
        assert "item_id" in EVENT_FIELDS[name]
    assert all(model.model_fields[name].annotation is str for name in kind.required)
    assert all(part in PARTS for part in kind.parts)


def test_statuses_of_lifecycle_events_are_statuses_of_a_response() -> None:
    (literals, _none) = get_args(sdk.Response.model_fields["status"].annotation)
    assert {status for names in grammar.STATUSES_OF.values() for status in names} == {*get_args(literals)}
    assert (
        {*grammar.STATUSES_OF}
        == grammar.LIFECYCLE
        == {n for n, fields in EVENT_FIELDS.items() if "response" in fields}
    )


def test_private_names_are_private_and_stand_for_events_of_the_package() -> None:
    assert not {*grammar.ALIASES} & {*EVENTS}
    assert {*grammar.ALIASES.values()} <= {*EVENTS}
    private = grammar.PINGS | grammar.PRIVATE_NOTICES | {grammar.TOOL_CALL_DELTA, grammar.KEEPALIVE}
    assert not private & {*EVENTS}


def test_an_unknown_item_type_has_neither_parts_nor_text() -> None:
    for type_ in ("computer_call", None, 7, ["message"]):
        kind = grammar.item_kind(type_)
        assert (kind.parts, kind.summaries, kind.run) == ((), False, None)
    assert grammar.item_kind("message") is grammar.MESSAGE


class TestOpenAI:
    LONG_ID = "resp_" + "0a" * 24

    def test_its_response_objects_have_its_fields_in_its_order(self) -> None:
        assert grammar.looks_like_openai(openais())
        assert not grammar.looks_like_openai(dict(sorted(openais().items())))
        assert grammar.looks_like_openai({**dict(sorted(openais().items())), "id": self.LONG_ID})

    @pytest.mark.parametrize("name", ["store", "user", "background", "usage"])
    def test_one_that_lacks_any_is_none_of_its_own(self, name: str) -> None:
        response = {key: value for key, value in openais(id=self.LONG_ID).items() if key != name}
        assert not grammar.looks_like_openai(response)

    @pytest.mark.parametrize("id_", [None, 7, "", "resp_1", "resp_" + "0A" * 24, "chatcmpl-" + "0a" * 24])
    def test_nor_is_one_with_another_order_and_another_id(self, id_: object) -> None:
        assert not grammar.looks_like_openai({**dict(sorted(openais().items())), "id": id_})

    def test_nor_is_nothing(self) -> None:
        assert not grammar.looks_like_openai(None)
        assert not grammar.looks_like_openai({})
