"""Documents and search results that are text."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.document_texts import DocumentTexts
from vllm_sse_proxy.families.requests import Step

REPAIR = DocumentTexts()
made = made_by(REPAIR)


CONTROL = {"cache_control": {"type": "ephemeral"}}


def document(source: object, **more: object) -> dict[str, object]:
    return {"type": "document", "source": source, **more}


def test_text_becomes_text() -> None:
    grass = document({"type": "text", "data": "It is green."}, title="Grass", context="A note.", **CONTROL)
    blocks = document({"type": "content", "content": [text("Green."), text("Blue.")]})
    plain = document({"type": "content", "content": "Red."})
    assert made(messages=asked(grass, blocks, plain, text("Which?"))) == {
        "messages": asked(
            text("Grass\nA note.\nIt is green.", **CONTROL),
            text("Green.\nBlue."),
            text("Red."),
            text("Which?"),
        )
    }


def test_a_search_result_becomes_text() -> None:
    found = {"type": "search_result", "title": "Sky", "source": "a", "content": [text("Blue.")]}
    assert made(messages=asked(found)) == {"messages": asked(text("Sky\na\nBlue."))}


def test_anything_else_stays() -> None:
    picture = {"type": "image", "source": {}}
    for source in (
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        {"type": "url", "url": "https://example.com"},
        {"type": "content", "content": [text("Look:"), picture]},
        {"type": "text", "data": ""},
        None,
    ):
        assert made(messages=asked(document(source))) is None
    assert made(messages=asked(text("Hi."), "odd")) is None
    result = {"type": "tool_result", "content": [document({"type": "text", "data": "Hi."})]}
    assert made(messages=asked(result)) is None, "vLLM drops it, and refuses nothing"
    assert REPAIR.step(UNKNOWN) is Step.LOSSLESS
