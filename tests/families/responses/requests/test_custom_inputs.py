from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.families.responses.requests.custom_inputs import encode_input
from vllm_sse_proxy.families.responses.tool_inputs import input_of


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_reading_is_the_inverse(text: str) -> None:
    assert input_of(encode_input(text)) == text


def test_spelling() -> None:
    assert encode_input("a\n") == '{"input": "a\\n"}'
    assert encode_input("half \ud83d") == '{"input": "half ?"}'
