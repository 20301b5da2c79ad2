"""Documents that are not text."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.unreadable_documents import UnreadableDocuments
from vllm_sse_proxy.families.requests import Step

REPAIR = UnreadableDocuments()
made = made_by(REPAIR)


def test_a_note_takes_their_place() -> None:
    pdf = {"type": "document", "title": "a.pdf", "source": {"type": "base64", "data": "JVBERi0="}}
    upload = {"type": "container_upload", "file_id": "file_1"}
    picture = {"type": "image", "source": {"type": "file", "file_id": "file_2"}}
    assert made(messages=asked(pdf, upload, picture)) == {
        "messages": asked(
            text('[There was a document "a.pdf" here, which this model cannot read.]'),
            text("[There was a document here, which this model cannot read.]"),
            text("[There was an image here, which this model cannot see.]"),
        )
    }


def test_in_results_too() -> None:
    pdf = {"type": "document", "source": {"type": "url", "url": "https://example.com"}}
    repaired = made(messages=asked({"type": "tool_result", "content": [pdf]}))
    note = text("[There was a document here, which this model cannot read.]")
    assert repaired == {"messages": asked({"type": "tool_result", "content": [note]})}


def test_what_can_be_read_stays() -> None:
    assert made(messages=asked(text("Hi."), {"type": "image", "source": {"type": "base64"}})) is None
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
