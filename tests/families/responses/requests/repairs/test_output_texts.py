from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.output_texts import OutputTexts

REPAIR = OutputTexts()


def output(value: object, type_: str = "function_call_output") -> dict[str, object]:
    return {"type": type_, "call_id": "c", "output": value}


def text(words: object) -> dict[str, object]:
    return {"type": "input_text", "text": words}


def test_texts_become_one() -> None:
    for type_ in ("function_call_output", "custom_tool_call_output"):
        body = {"input": [output([text("a"), text("b")], type_)]}
        assert body_after(REPAIR, body)["input"] == [output("a\nb", type_)]
    assert body_after(REPAIR, {"input": [output([])]})["input"] == [output("")]


def test_what_is_no_list_of_texts() -> None:
    for value in ("a", None, [text("a"), {"type": "input_image"}], [text(7)], ["a"], {"type": "input_text"}):
        assert repaired_by(REPAIR, {"input": [output(value)]}) is None
    assert repaired_by(REPAIR, {"input": [output([text("a")], "shell_call_output")]}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=False)) is Step.NEVER
