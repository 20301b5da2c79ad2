"""The encoder's bytes, and that no value can begin a line of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.sse import Frame, FrameDecoder, encode_comment, encode_data, encode_event


def test_named_event() -> None:
    assert encode_event("response.created", b'{"a":1}') == b'event: response.created\ndata: {"a":1}\n\n'


def test_unnamed_event() -> None:
    assert encode_data(b"[DONE]") == b"data: [DONE]\n\n"


def test_comment() -> None:
    assert encode_comment(b"keep-alive") == b": keep-alive\n\n"


def test_a_comment_is_utf_8() -> None:
    assert encode_comment("warten …".encode()) == ": warten …\n\n".encode()
    assert encode_comment(b"caf\xe9 \xed\xa0\x80") == ": caf\ufffd \ufffd\ufffd\ufffd\n\n".encode()


@pytest.mark.parametrize("name", ["x\ndata: forged", "x\rdata: forged", "\n\n", "\r"])
def test_a_name_with_a_line_end_is_left_out(name: str) -> None:
    assert encode_event(name, b"1") == b"data: 1\n\n"


def test_data_with_line_feeds_goes_out_as_several_lines() -> None:
    assert encode_event("x", b"{\n}") == b"event: x\ndata: {\ndata: }\n\n"
    assert encode_data(b"{\n\n}") == b"data: {\ndata: \ndata: }\n\n"


def test_a_lone_surrogate_in_a_name_does_not_raise() -> None:
    assert encode_event("\ud800", b"1") == b"event: ?\ndata: 1\n\n"


@given(st.text(), st.binary().filter(lambda data: b"\r" not in data))
def test_one_event_is_one_frame(name: str, data: bytes) -> None:
    """Whatever the name and the data, one frame comes out, and its data are the same."""
    decoder = FrameDecoder()
    (frame,) = decoder.feed(encode_event(name, data))
    assert isinstance(frame, Frame)
    assert frame.data == data
    assert decoder.finish() is None
