from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.unreadable_files import UnreadableFiles

REPAIR = UnreadableFiles()


def test_a_note_takes_its_place() -> None:
    body = {
        "input": [
            {"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_id": "f"}, "?"]}
        ]
    }
    note = {"type": "input_text", "text": '[There was a file "a.pdf" here, which this model cannot read.]'}
    assert body_after(REPAIR, body)["input"][0]["content"] == [note, "?"]


def test_without_a_name_and_in_an_output() -> None:
    body = {
        "input": [
            {"type": "function_call_output", "output": [{"type": "input_file", "file_url": "https://x"}]}
        ]
    }
    note = {"type": "input_text", "text": "[There was a file here, which this model cannot read.]"}
    assert body_after(REPAIR, body)["input"][0]["output"] == [note]


def test_other_parts() -> None:
    assert repaired_by(REPAIR, {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}) is None
