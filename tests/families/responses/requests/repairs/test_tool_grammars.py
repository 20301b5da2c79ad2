from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.tool_grammars import ToolGrammars

REPAIR = ToolGrammars()


def tool(**members: object) -> dict[str, object]:
    return {"type": "custom", "name": "c", **members}


def grammar(syntax: str) -> dict[str, str]:
    return {"type": "grammar", "syntax": syntax, "definition": "start: /a/"}


def test_the_grammar_becomes_text() -> None:
    body = {"tools": [{"type": "function", "name": "f"}, tool(description="Does c.", format=grammar("lark"))]}
    text = "Does c.\n\nThe input must match this lark grammar:\nstart: /a/"
    assert body_after(REPAIR, body)["tools"] == [body["tools"][0], tool(description=text)]


def test_other_grammars() -> None:
    regex = body_after(REPAIR, {"tools": [tool(format=grammar("regex"))]})["tools"][0]
    assert regex["description"] == "The input must match this regular expression:\nstart: /a/"
    nameless = body_after(REPAIR, {"tools": [tool(format={"type": "grammar", "definition": "a"})]})["tools"][
        0
    ]
    assert nameless["description"] == "The input must match this grammar:\na"
    assert body_after(REPAIR, {"tools": [tool(format={"type": "grammar"})]})["tools"] == [tool()]


def test_other_tools() -> None:
    for other in (
        tool(),
        tool(format={"type": "text"}),
        tool(format="grammar"),
        {"type": "function", "format": grammar("lark")},
    ):
        assert repaired_by(REPAIR, {"tools": [other]}) is None


def test_when() -> None:
    """Old simple paths ignore the grammar: nothing is lost there."""
    assert REPAIR.step(Facts()) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False)) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False, release=(0, 24))) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=False, release=(0, 32))) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True, release=(0, 24))) is Step.LOSSY
