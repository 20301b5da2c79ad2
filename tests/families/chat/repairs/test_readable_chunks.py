"""Payloads that are not strict JSON."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import ROLE, repaired, text_of, wire

HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'
WHOLE = wire(f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> stop\n[DONE]')


@pytest.mark.parametrize(
    "payload", [b"ping", b"", b"[]", b"7", b'"x"', b"null", b"Internal Server Error", b"{" * 300, b"\xff\xfe"]
)
def test_what_holds_no_object_goes(payload: bytes) -> None:
    first, rest = WHOLE.split(b"\n\n", 1)
    made = repaired(first + b"\n\ndata: " + payload + b"\n\n" + rest)
    assert made.made == WHOLE
    assert set(made.repairs) <= {"readable_chunks"}


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ('{"content":"a\tb"}', '{"content":"a\\tb"}'),
        ('{"content":"a","x":NaN}', '{"content":"a","x":null}'),
        ('{"content":"a\\ud800"}', '{"content":"a\ufffd"}'),
    ],
)
def test_what_only_lenient_readers_can_read_is_written_anew(delta: str, expected: str) -> None:
    line = f'! {{{HEAD},"choices":[{{"index":0,"delta":{delta},"finish_reason":"stop"}}]}}'
    made = repaired(f"{ROLE}\n{line}\n[DONE]")
    assert made.text == f"{ROLE}\n{expected} -> stop\n[DONE]"
    assert made.repairs == {"readable_chunks": 1}


def test_the_frame_of_a_chunk_is_plain() -> None:
    made = repaired(b"event: chunk\r\nid: 5\r\ndata:" + WHOLE[6:])
    assert text_of(made.made) == text_of(WHOLE)


def test_a_chunk_over_two_lines_leaves_on_one() -> None:
    broken = WHOLE.replace(b'"created":1,', b'"created":\ndata: 1,', 1)
    assert text_of(repaired(broken).made) == text_of(WHOLE)
