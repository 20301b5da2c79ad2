from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.roles import Roles

REPAIR = Roles()


USER = {"role": "user", "content": "Hi"}


def said(role: str, content: object) -> dict[str, object]:
    return {"type": "message", "role": role, "content": content}


def test_all_instructions_become_one() -> None:
    parts = [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]
    items = [said("developer", "a"), USER, said("developer", parts), said("system", "d"), "?"]
    assert body_after(REPAIR, {"input": items})["input"] == [said("system", "a\n\nb\nc\n\nd"), USER, "?"]


def test_instructions_of_the_request() -> None:
    body = {"instructions": "a", "input": [said("system", "b"), USER, said("developer", "")]}
    assert body_after(REPAIR, body) == {"instructions": "a\n\nb", "input": [USER]}
    assert repaired_by(REPAIR, {"instructions": "a", "input": [said("system", "b")]}) is None


def test_two_system_messages() -> None:
    assert body_after(REPAIR, {"input": [said("system", "a"), said("system", "b"), USER]})["input"] == [
        said("system", "a\n\nb"),
        USER,
    ]


def test_one_that_comes_late() -> None:
    assert body_after(REPAIR, {"input": [USER, said("system", "a")]})["input"] == [said("system", "a"), USER]


def test_what_every_template_takes() -> None:
    for body in (
        {"input": [said("system", "a"), USER]},
        {"input": [USER], "instructions": "a"},
        {"input": "Hi"},
        {"input": [{"type": "function_call", "role": "developer"}]},
    ):
        assert repaired_by(REPAIR, body) is None


def test_instructions_that_are_no_text() -> None:
    for content in ([{"type": "input_image"}], None):
        assert REPAIR.repair({"input": [said("developer", content), USER]}, Facts()) is None


def test_when() -> None:
    """Never on harmony, which has developer messages."""
    assert REPAIR.step(Facts(harmony=True, release=(0, 12))) is Step.NEVER
    assert REPAIR.step(Facts(harmony=False, release=(0, 22))) is Step.FIRST
    assert REPAIR.step(Facts(release=(0, 22))) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False, release=(0, 24))) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False, strict_template=True)) is Step.LOSSLESS
    assert REPAIR.step(Facts()) is Step.LOSSY
