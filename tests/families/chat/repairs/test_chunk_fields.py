"""What is the same in every chunk."""

from __future__ import annotations

import json

import pytest

from tests.support.chunk_streams import ROLE, becomes, compact, repaired, stays, text_of, wire

WHOLE = f"""
{ROLE}
{{"content":"Hi"}}
{{}} -> stop
! {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}
[DONE]
"""


def test_a_whole_stream_stays() -> None:
    stays(WHOLE)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("id", '"other"'), ("id", "null"), ("id", '""'), ("id", "7"), ("object", '"chunk"'), ("created", "2"), ("created", "1.5"),
        ("created", "true"), ("created", "-1"), ("model", '"other"'), ("model", "null"), ("choices", "null"),
    ],
)  # fmt: skip
def test_every_chunk_has_what_the_first_one_had(field: str, wrong: str) -> None:
    head, last = wire(WHOLE).decode().rsplit('{"id"', 1)
    body = json.loads('{"id"' + last.partition("\n")[0])
    body[field] = json.loads(wrong)
    broken = f"{head}{compact(body)}\n\ndata: [DONE]\n\n".encode()
    made = repaired(broken)
    assert made.made == wire(WHOLE)
    assert made.repairs == {"chunk_fields": 1}
    del body[field]
    made = repaired(f"{head}{compact(body)}\n\ndata: [DONE]\n\n".encode())
    assert [json.loads(line.removeprefix("! ")) for line in made.text.split("\n")[3:4]] == [
        json.loads(line.removeprefix("! ")) for line in text_of(wire(WHOLE)).split("\n")[3:4]
    ]


def test_what_nobody_said_is_made_up_the_same_each_time() -> None:
    bare = '! {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}\n{} -> stop\n[DONE]'
    made = repaired(bare, request={"model": "mine", "messages": []})
    first, last, _ = (
        json.loads(line[6:]) if line != "data: [DONE]" else {}
        for line in made.made.decode().strip().split("\n\n")
    )
    assert first["id"].startswith("chatcmpl-")
    assert (first["created"], first["model"], first["object"]) == (0, "mine", "chat.completion.chunk")
    assert {name: first[name] for name in ("id", "created", "model")} == {
        name: last[name] for name in ("id", "created", "model")
    }
    assert repaired(bare, request={"model": "mine", "messages": []}).made == made.made
    assert json.loads(repaired(bare).made.split(b"\n\n")[0][6:])["model"] == ""


def test_a_float_is_a_time_too() -> None:
    made = repaired('! {"id":"x","object":"chat.completion.chunk","created":12.7,"model":"m","choices":[]}')
    assert made.text.startswith('! {"error"')
    made = repaired(
        '! {"id":"x","object":"chat.completion.chunk","created":12.7,"model":"m","choices":{"index":0,"delta":{"role":"assistant"},"finish_reason":"stop"}}'
    )
    assert '"created":12,' in made.text


def test_members_of_the_wrong_type_are_null() -> None:
    becomes(
        """
        {"role":"assistant","content":"Hi"} -> stop ++ {"system_fingerprint":7,"obfuscation":{}}
        [DONE]
        """,
        """
        {"role":"assistant","content":"Hi"} -> stop ++ {"system_fingerprint":null,"obfuscation":null}
        [DONE]
        """,
    )


def test_vllms_own_members_pass() -> None:
    stays(
        """
        {"role":"assistant","content":""} ++ {"prompt_token_ids":[1,2],"prompt_text":"x","kv_transfer_params":{"a":1},"metrics":{}}
        {"content":"Hi"} + {"token_ids":[5],"weight_versions":[1]} ++ {"x_vendor":{"a":[null]}}
        {} -> stop + {"stop_reason":7,"token_ids":null} ++ {"system_fingerprint":"vllm-0.33.0"}
        [DONE]
        """
    )


def test_a_time_that_no_clock_shows_is_none() -> None:
    made = repaired(wire(WHOLE).replace(b'"created":1,', b'"created":1180591620717411303424,'))
    assert made.text.count('"created":0,') == made.made.count(b'"created"')
    assert set(made.repairs) == {"chunk_fields"}
