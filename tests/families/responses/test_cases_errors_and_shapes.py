"""Small streams that left wrong once (issue 12, K4, K9 and K10): what must leave of each.

The streams in `tests/cases` are rebuilt from public reports, or real ones that were damaged; details are replaced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.repairing import Repaired, repaired
from vllm_sse_proxy.families.responses import BodyEnd, Ending, Plan, StreamNormalizer
from vllm_sse_proxy.sse import FrameDecoder

FOLDER = Path(__file__).parents[2] / "cases"
MINE = [
    "error-flat",
    "error-typed-nested",
    "error-without-blank-line",
    "shape-done-item-in-progress",
    "shape-heartbeat-events",
    "shape-mcp-list-before-created",
    "shape-payload-with-bom",
    "shape-usage-one-count-missing",
    "text-surrogate-halves",
]


def stream_of(name: str) -> bytes:
    return (FOLDER / f"{name}.sse").read_bytes()


def made_of(name: str) -> Repaired:
    return repaired(stream_of(name))


@pytest.mark.parametrize("name", MINE)
def test_it_conforms_however_it_is_cut_and_stays_as_it_is(name: str) -> None:
    made = made_of(name)
    for size in (1, 3, 1000):
        normalizer = StreamNormalizer(Plan.build(strict=True))
        stream = stream_of(name)
        pieces = [normalizer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
        assert b"".join(pieces) + normalizer.finish(BodyEnd.EOF) == made.stream
    again = repaired(made.stream)
    assert again.stream == made.stream
    assert not again.repairs
    made.stream.decode("utf-8", "strict")


@pytest.mark.parametrize(
    ("name", "code", "message", "type_"),
    [
        ("error-flat", "400", "KV cache lost", "BadRequestError"),
        ("error-typed-nested", "server_error", "KV cache lost", "server_error"),
        ("error-without-blank-line", "500", "CUDA out of memory", "server_error"),
    ],
)
def test_an_error_keeps_its_words(name: str, code: str, message: str, type_: str) -> None:
    made = made_of(name)
    assert made.body[-2:] == ["error", "failed"]
    error = made.one("error")
    assert (error["code"], error["message"], error["param"]) == (code, message, None)
    assert error["error"] == {"type": type_, "code": code, "message": message, "param": None}
    assert made.one("failed")["response"]["error"]["message"] == message
    assert made.ending is Ending.UPSTREAM_ERROR
    assert b"BadRequestError\n" not in made.stream
    assert made.output[-1]["status"] == "incomplete"


def test_before_the_first_event_it_is_an_http_error() -> None:
    frame = stream_of("error-flat").split(b"\n\n")[-3]
    normalizer = StreamNormalizer(Plan.build(strict=True))
    normalizer.feed(frame + b"\n\n")
    failure = normalizer.failure
    assert not normalizer.committed
    assert failure is not None
    assert (failure.status, failure.message) == (400, "KV cache lost")


def test_a_closed_item_is_completed() -> None:
    made = made_of("shape-done-item-in-progress")
    assert made.one("output_item.done")["item"]["status"] == "completed"
    assert made.output[0]["status"] == "completed"
    assert made.body[-1] == "completed"


def test_a_heartbeat_is_a_comment() -> None:
    made = made_of("shape-heartbeat-events")
    assert "keepalive" not in made.names
    assert b"\n\n: ping\n\n" in made.stream
    assert made.values("output_text.delta", "delta") == ["He", "llo"]


def test_an_invented_announcement_has_what_its_type_requires() -> None:
    made = made_of("shape-mcp-list-before-created")
    item = made.all("output_item.added")[0]["item"]
    assert (item["type"], item["server_label"], item["tools"]) == ("mcp_list_tools", "lab", [])
    assert made.output[0]["tools"][0]["name"] == "get_info"
    assert made.names[:2] == ["created", "in_progress"]
    assert made.output[1]["content"][0]["text"] == "Done."


def test_a_payload_leaves_without_its_mark() -> None:
    made = made_of("shape-payload-with-bom")
    assert b"\xef\xbb\xbf" not in made.stream
    assert made.values("output_text.delta", "delta") == ["Hi"]
    frames = FrameDecoder().feed(made.stream)
    assert all(json.loads(frame.data.decode()) for frame in frames if frame.data != b"[DONE]")


def test_counts_that_are_known_stay() -> None:
    usage: Any = made_of("shape-usage-one-count-missing").one("completed")["response"]["usage"]
    assert usage == {
        "input_tokens": 0,
        "output_tokens": 4,
        "total_tokens": 4,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def test_an_emoji_leaves_whole_and_once() -> None:
    made = made_of("text-surrogate-halves")
    assert made.values("output_text.delta", "delta") == ["Hi ", "🌍", " ok"]
    assert [item["content"][0]["text"] for item in made.output] == ["Hi 🌍 ok"]
