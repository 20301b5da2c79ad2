from __future__ import annotations

import pytest

from vllm_sse_proxy.sse import Frame


def test_frames_with_the_same_fields_are_equal() -> None:
    assert Frame("x", b"1") == Frame("x", b"1")
    assert Frame("x", b"1") != Frame("y", b"1")
    assert Frame("x", b"1") != Frame("x", b"2")
    assert Frame(None, b"", b"note") != Frame(None, b"")
    assert Frame(None, b"", None, b"{") != Frame(None, b"")
    assert Frame("x", b"1") != ("x", b"1", None)


def test_what_may_change_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Frame("x", b"1"))


def test_it_shows_what_it_holds() -> None:
    assert repr(Frame("x", b"1")) == "Frame('x', b'1', None)"
    assert repr(Frame(None, b"", None, b"{")) == "Frame(None, b'', None, b'{')"
