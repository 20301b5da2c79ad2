"""The decoder against the WHATWG grammar, every case whole, byte by byte and with trailing data."""

import sys
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.sse import (
    Frame,
    FrameDecoder,
    FrameTooLargeError,
    encode_comment,
    encode_data,
    encode_event,
)

BOM = b"\xef\xbb\xbf"


def decode(chunks: Iterable[bytes], *, limit: int = 1024) -> tuple[list[Frame], bool]:
    """Feed the chunks; return all frames and whether the limit was exceeded."""
    decoder = FrameDecoder(max_frame_bytes=limit)
    frames: list[Frame] = []
    try:
        for chunk in chunks:
            frames += decoder.feed(chunk)
    except FrameTooLargeError as error:
        return frames + error.frames, True
    return frames, False


def each_byte(stream: bytes) -> list[bytes]:
    """Cut the stream into single bytes."""
    return [stream[i : i + 1] for i in range(len(stream))]


def message(data: bytes, event: str | None = None) -> Frame:
    """Build an event."""
    return Frame(event, data)


def comment(text: bytes) -> Frame:
    """Build a comment."""
    return Frame(None, b"", text)


def stray(text: bytes, data: bytes = b"", event: str | None = None) -> Frame:
    """Build a frame with text that is not a field."""
    return Frame(event, data, None, text)


CASES: dict[str, tuple[bytes, list[Frame]]] = {
    "nothing": (b"", []),
    "named": (b'event: x\ndata: {"a":1}\n\n', [message(b'{"a":1}', "x")]),
    "unnamed": (b"data: [DONE]\n\n", [message(b"[DONE]")]),
    "two": (b"event: x\ndata: 1\n\nevent: y\ndata: 2\n\n", [message(b"1", "x"), message(b"2", "y")]),
    "crlf": (
        b"event: x\r\ndata: 1\r\n\r\nevent: y\r\ndata: 2\r\n\r\n",
        [message(b"1", "x"), message(b"2", "y")],
    ),
    "cr": (b"event: x\rdata: 1\r\revent: y\rdata: 2\r\r", [message(b"1", "x"), message(b"2", "y")]),
    "mixed line ends": (
        b"event: x\r\ndata: 1\n\rdata: 2\r\n\ndata: 3\r\r\n",
        [message(b"1", "x"), message(b"2"), message(b"3")],
    ),
    "several data lines": (b"data: {\ndata: }\n\n", [message(b"{\n}")]),
    "several data lines after a name": (b"event: x\ndata: a\ndata: b\n\n", [message(b"a\nb", "x")]),
    "data before the name": (b"data: a\nevent: x\n\n", [message(b"a", "x")]),
    "data around the name": (b"data: a\nevent: x\ndata: b\n\n", [message(b"a\nb", "x")]),
    "last name wins": (b"event: x\nevent: y\ndata: a\n\n", [message(b"a", "y")]),
    "empty name": (b"event: \ndata: a\n\n", [message(b"a")]),
    "empty name wins": (b"event: x\nevent\ndata: a\n\n", [message(b"a")]),
    "name is forgotten with a frame that has no data": (b"event: x\n\ndata: a\n\n", [message(b"a")]),
    "no space after the colon": (b"event:x\ndata:a\n\n", [message(b"a", "x")]),
    "one space is removed, not two": (b"event:  x\ndata:  a\n\n", [message(b" a", " x")]),
    "a tab stays": (b"data:\ta\n\n", [message(b"\ta")]),
    "colons in values": (b"event: a:b\ndata: c: d\n\n", [message(b"c: d", "a:b")]),
    "WPT format-field-data": (
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        [message(b""), message(b"\n"), message(b"test")],
    ),
    "data with a space alone": (b"data: \n\n", [message(b"")]),
    "empty lines among data": (b"data: a\ndata:\ndata: b\n\n", [message(b"a\n\nb")]),
    "unknown fields": (b"id: 7\nretry: 3000\nfoo: bar\nbaz\ndata: a\n\n", [message(b"a")]),
    "no data, no frame": (b"event: ping\n\nretry: 3000\n\nid: 7\n\nfoo\n\n", []),
    "names are case-sensitive": (b"Data: a\nDATA: b\nevent : x\ndata : c\n data: d\n\n", []),
    "blank lines between frames": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [message(b"a"), message(b"b")]),
    "comment": (b": ping\n\n", [comment(b"ping")]),
    "comments of all spaces": (
        b":\n:a\n:  b\n: c: d\n",
        [comment(b""), comment(b"a"), comment(b" b"), comment(b"c: d")],
    ),
    "comment inside a frame": (b"event: x\n: ping\ndata: a\n\n", [comment(b"ping"), message(b"a", "x")]),
    "comment between data lines": (b"data: a\n: ping\ndata: b\n\n", [comment(b"ping"), message(b"a\nb")]),
    "comment after a frame": (
        b"data: a\n\n: ping\n\ndata: b\n\n",
        [message(b"a"), comment(b"ping"), message(b"b")],
    ),
    "comment and CR": (b": ping\r\n\r\n:\r", [comment(b"ping"), comment(b"")]),
    "BOM": (BOM + b"data: a\n\n", [message(b"a")]),
    "BOM alone": (BOM, []),
    "second BOM": (BOM + BOM + b"data: a\ndata: b\n\n", [message(b"a\nb")]),
    "half a BOM": (BOM[:2] + b"data: a\n\ndata: b\n\n", [message(b"b")]),
    "BOM later": (b"data: a\n\n" + BOM + b"data: b\n\n", [message(b"a"), message(b"b")]),
    "BOM before every field and a comment": (
        BOM + b"event: x\n" + BOM + b"data: a\n" + BOM + b": ping\n" + BOM * 3 + b"data: b\n\n",
        [comment(b"ping"), message(b"a\nb", "x")],
    ),
    "BOM before an unknown field, and alone on a line": (
        b"data: a\n" + BOM + b"id: 7\n" + BOM + b"\n" + BOM * 2 + b"\ndata: b\n\n",
        [message(b"a\nb")],
    ),
    "BOM inside a value": (b"data: " + BOM + b"a\n\n", [message(BOM + b"a")]),
    "JSON without a field": (b'{"a":1}\n\ndata: b\n\n', [stray(b'{"a":1}'), message(b"b")]),
    "JSON without a field, over several lines": (
        b'{\n  "a": [\n    1\n  ],\n"b": 2,\n\t"c": 3\n}\n\n',
        [stray(b'{\n  "a": [\n    1\n  ],\n"b": 2,\n\t"c": 3\n}')],
    ),
    "JSON without a field, with blank lines in it": (
        b'[\n\n  {\n\n"a": 1\n\n}\n\n]\n\n',
        [stray(b"["), stray(b"  {"), stray(b'"a": 1'), stray(b"}"), stray(b"]")],
    ),
    "JSON that goes on behind its field": (b'data: {\n  "a": 1\n}\n\n', [stray(b'  "a": 1\n}', b"{")]),
    "JSON without a field, under a name": (b'event: x\n{"a":1}\n\n', [stray(b'{"a":1}', b"", "x")]),
    "lines that only JSON would begin with": (b' "a"\n"b"\n}\ndata: c\n\n"d"\n\n', [message(b"c")]),
    "NUL in data": (b"data: a\0b\n\n", [message(b"a\0b")]),
    "bytes that are no UTF-8": (
        b"event: \xff\ndata: \xff\xfe\n\nevent:\xff\ndata: a\n\n",
        [message(b"\xff\xfe", "�"), message(b"a", "�")],
    ),
    "U+2028, U+0085, VT and FF end no line": (
        "data: a\u2028b\u0085c\vd\fe\n\n".encode(),
        [message("a\u2028b\u0085c\vd\fe".encode())],
    ),
    "unfinished frame": (b"data: a\n\nevent: x\ndata: b\n", [message(b"a")]),
}

#: What may stand after a case without changing it. The first line ends whatever the case left unfinished.
TRAILERS = (b"\n", b"\r\n", b"\n: late\n", b"\n\nevent: z\ndata: z\n\n")


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    stream, frames = CASES[name]
    assert decode([stream]) == (frames, False)
    assert decode(each_byte(stream)) == (frames, False)
    for cut in range(1, len(stream)):
        assert decode([stream[:cut], b"", stream[cut:]]) == (frames, False)
    for trailer in TRAILERS:
        assert decode([stream + trailer])[0][: len(frames)] == frames
        assert decode([stream, trailer]) == decode([stream + trailer]) == decode(each_byte(stream + trailer))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r", b"\r\n\n"])
def test_frame_is_dispatched_by_the_byte_that_ends_its_blank_line(end: bytes) -> None:
    decoder = FrameDecoder()
    without_last_lf = end.removesuffix(b"\n") if end.endswith(b"\r\n") else end
    frames = [frames for byte in each_byte(b"data: a" + without_last_lf) for frames in [decoder.feed(byte)]]
    assert frames[-1] == [message(b"a")]
    assert not any(frames[:-1])


def test_only_one_line_feed_belongs_to_a_carriage_return() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\ndata: b\r\r") == [message(b"a"), message(b"b")]
    assert decoder.feed(b"\n\ndata: c\r\n\r\n") == [message(b"c")]


@pytest.mark.parametrize(
    ("stream", "incomplete"),
    [
        (b"", False),
        (b"data: a\n\n", False),
        (b"data: a\r\r", False),
        (b": ping\n", False),
        (b"id: 7\n", False),
        (BOM, False),
        (BOM[:1], True),
        (b": pi", True),
        (b"data: a\n", True),
        (b"data\n", True),
        (b"event: x\n", True),
        (b"event\n", True),
        (b"data: a\n\nda", True),
        (b"{", True),
        (b"{\n", True),
        (b"{\n\n", False),
    ],
)
def test_finish_says_whether_a_frame_had_begun(stream: bytes, *, incomplete: bool) -> None:
    for chunks in ([stream], each_byte(stream)):
        decoder = FrameDecoder()
        for chunk in chunks:
            decoder.feed(chunk)
        assert (decoder.finish() is not None) is incomplete
        assert decoder.finish() is None


@pytest.mark.parametrize(
    ("stream", "limit", "frames", "too_large"),
    [
        (b"data: 67\n\n", 8, [message(b"67")], False),
        (b"data: 678\n\n", 8, [], True),
        (b"data: 678", 8, [], True),
        (b"event: x\ndata: 6\n\n", 16, [message(b"6", "x")], False),
        (b"event: x\ndata: 67\n\n", 16, [], True),
        (b"data: 1\ndata: 2\n\n", 15, [message(b"1\n2")], False),
        (b"data: 1\ndata: 23\n\n", 15, [], True),
        (
            b"data: a\n\ndata: b\n\n: ping\ndata: 678\n\n",
            8,
            [message(b"a"), message(b"b"), comment(b"ping")],
            True,
        ),
        (b": a comment that is too long\n", 8, [], True),
        (b"foo: an unknown field that is too long\n", 8, [], True),
        (
            b"foo: a\n" * 9 + b": bc\n" * 2 + b"data: a\n\n",
            8,
            [comment(b"bc"), comment(b"bc"), message(b"a")],
            False,
        ),
        (b"data\n" * 9, 43, [], True),
        (b"data\n" * 9, 44, [], False),
        (b"event\n" * 9, 52, [], True),
        (b"event\n" * 9, 53, [], False),
        (b"{\n" * 9, 16, [], True),
        (b"{\n" * 9 + b"\n", 17, [stray(b"\n".join([b"{"] * 9))], False),
    ],
)
def test_one_limit_for_everything_held(
    stream: bytes, limit: int, frames: list[Frame], *, too_large: bool
) -> None:
    assert decode([stream], limit=limit) == (frames, too_large)
    assert decode(each_byte(stream), limit=limit) == (frames, too_large)


def test_after_the_limit_nothing_is_read() -> None:
    decoder = FrameDecoder(max_frame_bytes=8)
    with pytest.raises(FrameTooLargeError, match="larger than 8 bytes") as caught:
        decoder.feed(b"data: a\n\ndata: 678\n\ndata: b\n\n")
    assert (caught.value.limit, caught.value.frames) == (8, [message(b"a")])
    with pytest.raises(FrameTooLargeError) as caught:
        decoder.feed(b"data: b\n\n")
    assert caught.value.frames == []
    assert decoder.finish() is None


@pytest.mark.parametrize(
    ("stream", "rest"),
    [
        (b"event: x\ndata: a\n", Frame("x", b"a")),
        (b"event: x\ndata: a\ndata: b", Frame("x", b"a\nb")),
        (b"data: a\n\ndata: b", Frame(None, b"b")),
        (b"event: x\nda", Frame("x", b"")),
        (b"data: a\n\n", None),
        (b'{\n  "a": 1}', stray(b'{\n  "a": 1}')),
        (b'event: x\ndata: {\n"a": 1}\n', stray(b'"a": 1}', b"{", "x")),
        (b"data: a\n" + BOM + b"data: b", Frame(None, b"a\nb")),
    ],
)
def test_finish_hands_out_what_came_of_the_last_frame(stream: bytes, rest: Frame | None) -> None:
    for chunks in ([stream], each_byte(stream)):
        decoder = FrameDecoder()
        for chunk in chunks:
            decoder.feed(chunk)
        assert decoder.finish() == rest


def test_a_frame_as_servers_send_it_is_handed_out_as_it_came_too() -> None:
    decoder = FrameDecoder(max_frame_bytes=64)
    plain = (b"data: a", b"event: e\ndata: b", b"event: \ndata: ")
    assert [frame.block for frame in decoder.feed(b"\n\n".join((*plain, b"")))] == list(plain)
    for other in (
        b": c",
        b"data:d",
        b"data: d\ndata: e",
        b"id: 1\ndata: d",
        b"event:e\ndata: d",
        b"data: d\nx",
        b"\ndata: d",
    ):
        (frame,) = decoder.feed(other + b"\n\n")
        assert frame.block is None, other
    assert decoder.feed(b"data: f\n") == []
    (frame,) = decoder.feed(b"\n")  # in two pieces
    assert (frame.data, frame.block) == (b"f", None)
    (frame,) = decoder.feed(b"data: g\r\n\r\n")
    assert frame.block == b"data: g"  # a line end is a line end
    assert decoder.feed(b"data: " + b"x" * 58 + b"\n\n")[0].block is not None
    with pytest.raises(FrameTooLargeError):
        decoder.feed(b"data: " + b"x" * 59 + b"\n\n")


# Properties

#: Streams of the pieces that the grammar is made of, so that every state meets every byte that matters.
pieces = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data",
        b"data:",
        b"data: ",
        b"event",
        b"event: ",
        b":",
        b" ",
        b": ",
        b"id: 1",
        b"x",
        b"y",
        BOM,
        b"\xef",
        b"{",
        b'"',
    ],
)
streams = st.lists(pieces, max_size=40).map(b"".join) | st.binary(max_size=80)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut the stream at the places."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(streams, st.lists(st.integers(min_value=0), max_size=8), st.integers(0, 60))
def test_chunking(stream: bytes, places: list[int], limit: int) -> None:
    """Neither the frames nor the error depend on how the input was cut, and `finish` agrees too."""
    assert (
        decode(cut(stream, places), limit=limit)
        == decode([stream], limit=limit)
        == decode(each_byte(stream), limit=limit)
    )
    decoders = FrameDecoder(), FrameDecoder()
    decoders[0].feed(stream)
    for byte in each_byte(stream):
        decoders[1].feed(byte)
    assert decoders[0].finish() == decoders[1].finish()


@given(streams)
def test_no_frame_waits_for_the_next_chunk(stream: bytes) -> None:
    """After every byte, as many frames are out as a decoder finds that is given just these bytes and a line end."""
    decoder = FrameDecoder()
    frames: list[Frame] = []
    for length, byte in enumerate(each_byte(stream), start=1):
        frames += decoder.feed(byte)
        if stream[length - 1] in b"\r\n":
            assert frames == decode([stream[:length]])[0]


@given(st.lists(st.binary(max_size=40)), st.integers(0, 50))
def test_total(chunks: list[bytes], limit: int) -> None:
    """No bytes raise anything but the one limit error, and then `finish` works too."""
    decoder = FrameDecoder(max_frame_bytes=limit)
    for chunk in chunks:
        try:
            decoder.feed(chunk)
        except FrameTooLargeError as error:
            assert error.limit == limit  # noqa: PT017 - raising is allowed, not required
    decoder.finish()
    assert decoder.finish() is None


@given(streams)
def test_reference(stream: bytes) -> None:
    """The decoder agrees with the specification's own algorithm, written down line by line."""
    assert decode([stream])[0] == reference(stream)


@given(streams)
def test_what_was_decoded_encodes_to_the_same_frames(stream: bytes) -> None:
    """Encoding what was decoded and decoding it again gives the same frames; of comments, what is UTF-8."""
    frames = [frame for frame in decode([stream])[0] if frame.stray is None]
    encoded = b"".join(
        encode_comment(f.comment)
        if f.comment is not None
        else encode_data(f.data)
        if f.event is None
        else encode_event(f.event, f.data)
        for f in frames
    )
    for frame in frames:
        if frame.comment is not None:
            frame.comment = frame.comment.decode("utf-8", "replace").encode()
    assert decode([encoded], limit=len(encoded) + 1) == (frames, False)


def reference(stream: bytes) -> list[Frame]:
    """Decode as the specification says it, with no regard for speed, and with the two liberties that are taken."""
    lines = stream.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    frames: list[Frame] = []
    event, data, extra, after = b"", b"", b"", False
    for line in lines:
        if line == b"":
            if data or extra:
                called = event.decode("utf-8", "replace") or None
                frames.append(Frame(called, data[:-1], None, extra[:-1] if extra else None))
                after = not data
            event, data, extra = b"", b"", b""
            continue
        marked = line
        while marked.startswith(BOM):
            marked = marked.removeprefix(BOM)
        name, _, value = marked.partition(b":")
        value = value.removeprefix(b" ")
        if marked.startswith(b":"):
            frames.append(Frame(None, b"", value))
        elif name == b"data":
            data += value + b"\n"
        elif name == b"event":
            event = value
        elif marked.startswith((b"{", b"[")) or (
            (data or extra or after) and marked.startswith((b" ", b"\t", b'"', b"}", b"]"))
        ):
            extra += marked + b"\n"
    return frames


# Cost, counted instead of timed

FRAME = b'event: response.output_text.delta\ndata: {"delta":"x"}\n\n'


def work(run: Callable[[], object]) -> int:
    """Count the lines of Python that run, and the bytes that methods of bytes objects are called on."""
    count = 0

    def trace(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    def profile(_frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        owner = getattr(arg, "__self__", None)
        if event == "c_call" and isinstance(owner, bytes | bytearray):
            count += len(owner)

    before = sys.gettrace()
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
        sys.setprofile(None)
    return count


def cost_of(stream: bytes, chunk: int) -> int:
    """Count the work of decoding the stream in chunks of this many bytes."""
    chunks = [stream[i : i + chunk] for i in range(0, len(stream), chunk)]
    return work(lambda: decode(chunks, limit=10**6))


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: FRAME * (n // len(FRAME)), id="frames"),
        pytest.param(lambda n: FRAME.replace(b"\n", b"\r\n") * (n // len(FRAME)), id="CRLF"),
        pytest.param(lambda n: b"data: " + b"x" * n + b"\n\n", id="one long line"),
        pytest.param(lambda n: b"data: x\n" * (n // 8) + b"\n", id="one frame of many lines"),
        pytest.param(lambda n: b"x" * n, id="no line end"),
        pytest.param(lambda n: b"\n" * n, id="line feeds"),
        pytest.param(lambda n: b"\r" * n, id="carriage returns"),
        pytest.param(lambda n: b":\n" * (n // 2), id="comments"),
        pytest.param(lambda n: b"event: x\n" * (n // 9), id="names"),
        pytest.param(lambda n: b"{\n" * (n // 2), id="one object over many lines"),
        pytest.param(lambda n: b"{\n\n" * (n // 3), id="many stray lines"),
        pytest.param(lambda n: BOM * (n // 3) + b"data: x\n\n", id="byte order marks"),
    ],
)
def test_linear(make: Callable[[int], bytes], size: int) -> None:
    """Four times the bytes cost at most four times the work, and a little for the ends."""
    assert cost_of(make(8_000), size) <= 4.2 * cost_of(make(2_000), size) + 200


def test_bounded_memory() -> None:
    """A server that never ends a line or a frame makes the decoder hold no more than the limit, times a small factor."""
    limit = 100_000
    for chunk in (b"x" * 10, b"data\n", b"event: x\n", b"data: xxxxxxxxx\n", b"foo: bar\n", b"{xxxxxxxx\n"):
        decoder = FrameDecoder(max_frame_bytes=limit)
        tracemalloc.start()
        try:
            for _ in range(3 * limit // len(chunk)):
                decoder.feed(chunk)
        except FrameTooLargeError:
            pass
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * limit, chunk
        assert held < limit, chunk
