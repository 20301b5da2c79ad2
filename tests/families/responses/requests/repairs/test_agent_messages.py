from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.agent_messages import AgentMessages

REPAIR = AgentMessages()


USER = {"role": "user", "content": "Hi"}


def text(words: str) -> dict[str, str]:
    return {"type": "input_text", "text": words}


def after(**members: object) -> list[object]:
    items = body_after(REPAIR, {"input": [USER, {"type": "agent_message", "id": "amsg_1", **members}]})[
        "input"
    ]
    assert isinstance(items, list)
    return items[1:]


def test_author_and_text() -> None:
    content = [text("Task:"), {"type": "encrypted_content", "encrypted_content": "Say hi"}]
    assert after(author="/root", recipient="/root/hi", content=content) == [
        {
            "type": "message",
            "role": "user",
            "content": [text("Message from /root to /root/hi:"), text("Task:"), text("Say hi")],
        }
    ]


def test_without_a_recipient_or_an_author() -> None:
    assert after(author="/root", content="Go") == [
        {"type": "message", "role": "user", "content": [text("Message from /root:"), text("Go")]}
    ]
    assert after(content=[text("Go"), "no part"]) == [
        {"type": "message", "role": "user", "content": [text("Go")]}
    ]


def test_what_is_encrypted_is_left_out() -> None:
    for blob in ("gAAAAABcapture10", "A1b2" * 20, "", None):
        assert after(content=[{"type": "encrypted_content", "encrypted_content": blob}]) == []


def test_other_items_stay() -> None:
    assert (
        repaired_by(
            REPAIR, {"input": [USER, {"type": "message", "role": "user", "content": "agent_message"}]}
        )
        is None
    )
