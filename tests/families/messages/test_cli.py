"""`check` and `repair` know a stream of messages by what it says."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from tests.support.goldens import RECORDINGS
from tests.support.messages import wire
from vllm_sse_proxy.cli import main

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = RECORDINGS / "messages-message_openings"
BROKEN = (GOLDEN / "upstream.sse").read_bytes()
GOOD = (GOLDEN / "expected.sse").read_bytes()


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made.sse"
    assert main(["repair", str(GOLDEN / "upstream.sse"), "-o", str(made), "--summary"]) == 0
    assert made.read_bytes() == GOOD
    summary = capsys.readouterr().err
    assert "family: messages\n" in summary
    assert "repair message_openings: 1\n" in summary


@pytest.mark.parametrize(
    "stream", [b": ping\n\ndata: {}\n\n" + BROKEN, BROKEN[:-2]], ids=["a comment first", "half a frame last"]
)
def test_repair_from_input(
    stream: bytes, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, stream)
    assert main(["repair"]) == 0
    assert capsysbinary.readouterr().out == GOOD


@pytest.mark.parametrize(
    "stream",
    [b"", b"data: " + b"x" * 3000 + b"\n\n", b": ping"],
    ids=["nothing", "a large frame", "a comment"],
)
def test_what_says_nothing_counts_as_a_response(
    stream: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, stream)
    assert main(["repair", "--summary", "--max-frame-bytes", "2000"]) == 0
    assert "family: responses\n" in capsys.readouterr().err


def test_an_error_alone_is_told_by_its_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, wire('{"type":"error","error":{"type":"internal_error","message":"m"}}')[:-2])
    assert main(["repair", "--summary"]) == 0
    output, summary = capsys.readouterr()
    assert output == wire("error api_error m").decode()
    assert "family: messages\n" in summary


def test_check_of_a_response(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    feed(monkeypatch, (RECORDINGS / "string_deltas" / "upstream.sse").read_bytes())
    assert main(["check"]) == 1
    assert capsys.readouterr().out


def test_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    feed(monkeypatch, GOOD)
    assert main(["check"]) == 0
    feed(monkeypatch, BROKEN)
    assert main(["check"]) == 1
    assert "message_role" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stream", "rule"),
    [
        (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n',
            "end",
        ),
        (b'data: {"id":"c","object":"text_completion","created":1,"model":"m","choices":[]}\n\n', "end"),
        (b'data: {"type":"transcript.text.delta","delta":"a"}\n\n', "done_event"),
        (b'data: {"id":"c","object": "transcription.chunk","created":1,"model":"m","choices":[]}\n\n', "end"),
    ],
)
def test_check_knows_every_family(
    stream: bytes, rule: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, stream)
    assert main(["check"]) == 1
    assert f": {rule}: " in capsys.readouterr().out
