"""Documents in the results of tools."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by, result, text
from vllm_sse_proxy.families.messages.requests.repairs.result_documents import ResultDocuments
from vllm_sse_proxy.families.requests import Step

REPAIR = ResultDocuments()
made = made_by(REPAIR)


PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
TEXT = {"type": "document", "title": "Grass", "source": {"type": "text", "data": "It is green."}}
FOUND = {
    "type": "search_result",
    "title": "Sky",
    "source": "https://example.com",
    "content": [text("It is blue.")],
}


def test_text_becomes_text() -> None:
    assert made(messages=result(text("Read."), TEXT, FOUND)) == {
        "messages": result(
            text("Read."), text("Grass\nIt is green."), text("Sky\nhttps://example.com\nIt is blue.")
        )
    }


def test_of_anything_else_the_model_hears() -> None:
    repaired = made(messages=result(PDF))
    assert repaired == {
        "messages": result(text("[There was a document here, which this model cannot read.]"))
    }


def test_documents_in_messages_are_refused_and_not_looked_at() -> None:
    messages = [{"role": "user", "content": [PDF]}]
    assert made(messages=messages) is None
    assert not REPAIR.concerns({"messages": messages}, UNKNOWN)


def test_it_comes_first() -> None:
    assert REPAIR.step(UNKNOWN) is Step.FIRST
    assert REPAIR.concerns({"messages": result(PDF)}, UNKNOWN)
    assert not REPAIR.concerns({"messages": result(text("Hi."), "odd")}, UNKNOWN)
    assert not REPAIR.concerns({"messages": "odd"}, UNKNOWN)
    assert not REPAIR.concerns({"messages": ["odd", {"role": "user", "content": ["odd"]}]}, UNKNOWN)
