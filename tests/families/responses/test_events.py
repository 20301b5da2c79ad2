"""How events are read from bytes and written back."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_sse_proxy.families.responses.events import inserted, is_typed, parse_event
from vllm_sse_proxy.stream.event import OPAQUE, Event, dump_json, serialize_event
from vllm_sse_proxy.stream.payload import decode_text, has_halves, whole_characters

DEEP = 300


class TestReading:
    @pytest.mark.parametrize(
        ("data", "type_"),
        [
            (b'{"type":"response.created"}', "response.created"),
            (b'{"type":"response.reasoning.delta","delta":"x"}', "response.reasoning_text.delta"),
            (b'{"type":"response.output_text.delta","delta":"x"}', "response.output_text.delta"),
            (b'{"type":"vendor:x"}', "vendor:x"),
        ],
    )
    def test_the_type_is_the_protocols_and_the_bytes_are_upstreams(self, data: bytes, type_: str) -> None:
        event = parse_event(data)
        assert event.type == type_
        assert event.raw == data
        assert not event.inserted

    @pytest.mark.parametrize(
        "data",
        [b"", b"x", b"[]", b"null", b"7", b'"text"', b'{"a":1', b"\xff", b"[" * 100_000, b'{"a":' * 100_000],
    )
    def test_what_is_no_object_is_opaque_and_keeps_its_bytes(self, data: bytes) -> None:
        event = parse_event(data, "error")
        assert (event.type, event.body, event.raw, event.name) == (OPAQUE, {}, data, "error")

    @pytest.mark.parametrize(
        "data",
        [b"{}", b'{"type":7}', b'{"type":""}', b'{"type":"<end>"}', b'{"type":"a\\nb"}', b'{"type":" a"}'],
    )
    def test_an_object_without_a_type_is_opaque_with_its_body(self, data: bytes) -> None:
        event = parse_event(data)
        assert event.type is OPAQUE
        assert isinstance(event.body, dict)
        assert not is_typed(event.body)

    @pytest.mark.parametrize(
        ("data", "body"),
        [
            (b'{"type":"vendor:x","a":NaN}', {"type": "vendor:x", "a": None}),
            (b'{"type":"vendor:x","a":-Infinity}', {"type": "vendor:x", "a": None}),
            (b'{"type":"vendor:x","a":1e999,"b":1.5}', {"type": "vendor:x", "a": None, "b": 1.5}),
            (b'{"type":"vendor:x","a":1e999,"b":"\\ud800"}', {"type": "vendor:x", "a": None, "b": "\ud800"}),
            (b'{"type":"vendor:x","a":"\t"}', {"type": "vendor:x", "a": "\t"}),
            (b'{"type":"vendor:x","a":"\xff"}', {"type": "vendor:x", "a": "\ufffd"}),
        ],
    )
    def test_what_only_lenient_readers_take_is_opaque_with_what_they_see(
        self, data: bytes, body: Any
    ) -> None:
        event = parse_event(data)
        assert (event.type, event.body, event.raw) == (OPAQUE, body, data)

    def test_lone_surrogates_and_big_integers_survive(self) -> None:
        for data in (
            b'{"type":"vendor:x","a":"\\ud800","c":1.5}',
            b'{"type":"vendor:x","a":123456789012345678901234567890}',
        ):
            event = parse_event(data)
            assert event.type == "vendor:x"
            assert parse_event(serialize_event(event.having(b=1))).body == {**event.body, "b": 1}

    @pytest.mark.parametrize(
        "data",
        [
            b'\xef\xbb\xbf{"type":"vendor:x","a":"\xc3\xa9"}',
            b'\xef\xbb\xbf\xef\xbb\xbf{"type":"vendor:x","a":"\xc3\xa9"}',
            *(
                '{"type":"vendor:x","a":"é"}'.encode(code)
                for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")
            ),
        ],
    )
    def test_what_is_not_plain_utf_8_is_opaque_with_what_it_says(self, data: bytes) -> None:
        event = parse_event(data)
        assert (event.type, event.body, event.raw) == (OPAQUE, {"type": "vendor:x", "a": "é"}, data)

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b'"caf\xe9"', "caf\ufffd"),
            (b'"\xed\xa0\xbd\xed\xb8\x80"', "\U0001f600"),
            (b'"\xed\xa0\xbd"', "\ufffd"),
            (b'"\\ud83d\xed\xb8\x80"', "\U0001f600"),
            (b'"a\\ud83db"', "a\ufffdb"),
        ],
    )
    def test_a_known_event_holds_whole_characters(self, data: bytes, text: str) -> None:
        item = b'{"type":"response.output_item.added","item":{"%b":[%b]}}' % (data[1:-1], data)
        assert parse_event(item).body["item"] == {text: [text]}
        assert parse_event(b'{"type":"response.output_text.delta","x":%b}' % data).body["x"] == text
        assert parse_event(b'{"error":%b}' % data).body["error"] == text

    def test_the_delta_of_a_text_keeps_its_half(self) -> None:
        event = parse_event(b'{"type":"response.output_text.delta","delta":"a\\ud83d","n":1}')
        assert (event.type, event.body["delta"]) == (OPAQUE, "a\ud83d")
        named = parse_event(b'{"type":"response.output_text.delta","n\\ud83d":1}')
        assert named.body == {"type": "response.output_text.delta", "n\ufffd": 1}

    def test_big_integers_beside_constants_that_are_no_json(self) -> None:
        event = parse_event(b'{"type":"vendor:x","a":123456789012345678901234567890,"b":NaN}')
        assert (event.type, event.body["b"]) == (OPAQUE, None)

    @pytest.mark.parametrize("opening", [b'{"a":', b"["])
    def test_what_is_too_deep_to_be_written_again_is_opaque(self, opening: bytes) -> None:
        closing = b"}" if opening.startswith(b"{") else b"]"
        deep = b'{"type":"vendor:x","a":' + opening * DEEP + b"1" + closing * DEEP + b"}"
        assert parse_event(deep).type is OPAQUE
        lenient = b'{"type":"vendor:x","b":NaN,"a":' + opening * DEEP + b"1" + closing * DEEP + b"}"
        assert parse_event(lenient).body == {}

    def test_what_is_only_wide_is_read(self) -> None:
        wide = b'{"type":"vendor:x","a":[' + b",".join([b"{}"] * DEEP) + b"]}"
        assert parse_event(wide).type == "vendor:x"

    def test_the_name_of_the_frame_is_kept_where_the_type_is_unknown(self) -> None:
        assert parse_event(b'{"type":"server_error"}', "error").name == "error"


class TestTexts:
    def test_decode_text_reads_what_its_first_bytes_show(self) -> None:
        for code in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be"):
            assert decode_text("[é]".encode(code)) == "[é]"
        assert decode_text(b"[\xe9]") == "[\ufffd]"
        assert decode_text(b"") == ""

    @pytest.mark.parametrize(
        ("text", "whole"),
        [
            ("", ""),
            ("abc é 😀", "abc é 😀"),
            ("\ud83d\ude00", "😀"),
            ("\ude00\ud83d", "\ufffd\ufffd"),
            ("a\ud83d\ud83d\ude00b", "a\ufffd😀b"),
        ],
    )
    def test_whole_characters(self, text: str, whole: str) -> None:
        assert whole_characters(text) == whole
        assert has_halves(text) is (text != whole)


class TestWriting:
    def test_an_unchanged_event_is_its_bytes(self) -> None:
        data = b'{ "type" : "vendor:x" , "a" : 1.50 }'
        assert serialize_event(parse_event(data)) == data

    @pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
    def test_bytes_on_several_lines_become_one(self, end: bytes) -> None:
        data = b'{"type":' + end + b'"vendor:x"}'
        assert serialize_event(parse_event(data)) == b'{"type":"vendor:x"}'

    def test_a_changed_event_is_written_anew(self) -> None:
        event = parse_event(b'{ "type":"vendor:x","a":1}')
        assert serialize_event(event.having(a=2)) == b'{"type":"vendor:x","a":2}'
        assert serialize_event(event.without("a")) == b'{"type":"vendor:x"}'
        assert serialize_event(event.renamed("vendor:y")) == b'{"type":"vendor:y","a":1}'

    def test_what_orjson_cannot_write_is_written_all_the_same(self) -> None:
        assert dump_json({"a": "\ud800"}) == b'{"a":"\\ud800"}'
        assert dump_json({"a": 10**30}) == b'{"a":1000000000000000000000000000000}'


class TestEvent:
    def test_an_event_is_never_changed_in_place(self) -> None:
        event = parse_event(b'{"type":"vendor:x","a":1}')
        event.having(a=2)
        event.without("a")
        event.renamed("vendor:y")
        assert event.body == {"type": "vendor:x", "a": 1}
        assert event.raw is not None

    def test_an_invented_event_stays_invented(self) -> None:
        event = inserted("error", message="m")
        assert event.body == {"type": "error", "message": "m", "sequence_number": -1}
        assert event.having(message="n").inserted
        assert event.without("message").inserted
        assert event.renamed("x").inserted

    def test_it_says_where_it_comes_from(self) -> None:
        raw = parse_event(b'{"type":"x"}')
        assert "raw" in repr(raw)
        assert "changed" in repr(raw.having(a=1))
        assert "inserted" in repr(inserted("x"))
        assert repr(Event("x", {"type": "x"})).startswith("Event(x, ")
