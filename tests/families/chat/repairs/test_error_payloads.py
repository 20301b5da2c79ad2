"""Errors in a chat stream."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import ROLE, TOOLS, becomes, repaired, stays, wire
from vllm_sse_proxy import BodyEnd, Ending, Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT

SHAPED = '{"error":{"message":"It broke.","type":"InternalServerError","param":null,"code":500}}'


def test_a_well_shaped_error_leaves_as_it_came() -> None:
    stays(
        f"""
        {ROLE}
        ! {SHAPED}
        [DONE]
        """
    )


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (
            '{"object":"error","message":"It broke.","type":"InternalServerError","param":null,"code":500}',
            '{"message":"It broke.","type":"InternalServerError","param":null,"code":500}',
        ),
        ('{"error":"It broke."}', '{"message":"It broke.","type":"InternalServerError","param":null,"code":502}'),
        ('{"error":["It broke."]}', None),
        ('{"error":[{"message":"It broke."}]}', '{"message":"It broke.","type":"InternalServerError","param":null,"code":502}'),
        ('{"error":{}}', None),
        ('{"error":{"message":7,"type":7,"param":7,"code":"x"}}', None),
        ('{"error":{"msg":"It broke.","code":"503"}}', '{"msg":"It broke.","code":503,"message":"It broke.","type":"InternalServerError","param":null}'),
        ('{"error":{"message":{"a":1},"code":599}}', '{"message":"{\\"a\\":1}","code":599,"type":"InternalServerError","param":null}'),
        ('{"error":{"message":"No.","type":"BadRequestError","param":"n","code":400},"id":"x"}', '{"message":"No.","type":"BadRequestError","param":"n","code":400}'),
        ('{"error":{"message":"No.","type":"NotFoundError","param":null,"code":null}}', '{"message":"No.","type":"NotFoundError","param":null,"code":404}'),
        ('{"error":true,"choices":[]}', None),
    ],
)  # fmt: skip
def test_every_form_becomes_the_one_that_clients_know(payload: str, error: str | None) -> None:
    made = repaired(f"{ROLE}\n! {payload}\n[DONE]")
    assert made.repairs == {"error_payloads": 1}
    assert made.ending is Ending.UPSTREAM_ERROR
    if error is not None:
        assert made.text == f'{ROLE}\n! {{"error":{error}}}\n[DONE]'


def test_an_error_beside_choices_comes_behind_them() -> None:
    becomes(
        f"""
        {ROLE}
        ! {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"content":"Hi"}},"finish_reason":"stop"}}],"error":{{"message":"It broke.","code":500}}}}
        """,
        f"""
        {ROLE}
        {{"content":"Hi"}}
        ! {{"error":{{"message":"It broke.","code":500,"type":"InternalServerError","param":null}}}}
        [DONE]
        """,
    )


def test_choices_without_anything_go() -> None:
    becomes(
        f"""
        {ROLE}
        ! {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{}},"finish_reason":"error"}},5],"error":"It broke."}}
        """,
        f"""
        {ROLE}
        ! {{"error":{{"message":"It broke.","type":"InternalServerError","param":null,"code":502}}}}
        [DONE]
        """,
    )


def test_after_content_no_error_blames_the_request() -> None:
    error = '{"message":"It broke.","type":"BadRequestError","param":null,"code":400}'
    becomes(
        f"""
        {ROLE}
        {{"content":"Hi"}}
        ! {{"error":{error}}}
        [DONE]
        """,
        f"""
        {ROLE}
        {{"content":"Hi"}}
        ! {{"error":{error.replace("BadRequestError", "InternalServerError").replace("400", "500")}}}
        [DONE]
        """,
    )
    stays(f'{ROLE}\n! {{"error":{error}}}\n[DONE]')


def test_nothing_follows_an_error() -> None:
    made = repaired(f'{ROLE}\n! {SHAPED}\n{{"content":"Hi"}}\n! {SHAPED}\n[DONE]')
    assert made.text == f"{ROLE}\n! {SHAPED}\n[DONE]"


def test_an_empty_error_beside_choices_is_none() -> None:
    becomes(
        """
        {"role":"assistant","content":"Hi"} ++ {"error":{}}
        {} -> stop ++ {"error":""}
        [DONE]
        """,
        """
        {"role":"assistant","content":"Hi"}
        {} -> stop
        [DONE]
        """,
    )


def test_before_anything_else_an_error_is_for_an_http_error() -> None:
    made = repaired('! {"error":{"message":"No.","type":"BadRequestError","param":null,"code":400}}\n[DONE]')
    failure = made.normalizer.failure
    assert failure is not None
    assert (failure.status, failure.code, failure.type, failure.message) == (
        400,
        "400",
        "BadRequestError",
        "No.",
    )
    assert not made.normalizer.committed
    assert made.ending is Ending.UPSTREAM_ERROR


@pytest.mark.parametrize(
    "text", ['{"error":{"message":"No.","type":"t","param":null,"code":500}}', '[{"error":"No."}]']
)
def test_an_error_outside_of_all_frames_is_the_last_word(text: str) -> None:
    made = repaired(f"data: {{}}\n\n{text}\n".encode(), end=BodyEnd.EOF)
    assert made.text.startswith('! {"error":{"message":"No."')
    assert made.ending is Ending.UPSTREAM_ERROR


def test_other_stray_text_is_not() -> None:
    made = repaired(b'{"errors":[5]}\n')
    assert made.ending is Ending.EMPTY


@pytest.mark.parametrize("disabled", [(), ("error_payloads",)])
def test_text_that_waited_is_content_before_the_error(disabled: tuple[str, ...]) -> None:
    asked = {"tools": TOOLS}
    bad = '{"error":{"message":"No.","type":"BadRequestError","param":null,"code":400}}'
    stream = f'{ROLE}\n{{"content":"["}}\n! {bad}\n[DONE]'
    plan = Plan.of(CHAT, disabled, strict=True)
    normalizer = StreamNormalizer(plan, CHAT.context("", asked))
    made = normalizer.feed(wire(stream)) + normalizer.finish(BodyEnd.EOF)
    assert (b'"code":500' in made) == (not disabled)
    assert (b"InternalServerError" in made) == (not disabled)
    becomes(f"{ROLE}\n! {bad}\n[DONE]", f"{ROLE}\n! {bad}\n[DONE]", request=asked)
