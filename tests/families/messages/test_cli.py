"""`check` and `repair` know a stream of messages, and one of transcriptions, by what it says."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tests.support.goldens import RECORDINGS
from tests.support.messages import wire
from vllm_sse_proxy.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

GOLDEN = RECORDINGS / "messages-message_openings"
BROKEN = (GOLDEN / "upstream.sse").read_bytes()
GOOD = (GOLDEN / "expected.sse").read_bytes()


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made.sse"
    assert main(["repair", str(GOLDEN / "upstream.sse"), "-o", str(made), "--summary"]) == 0
    assert made.read_bytes() == GOOD
    assert "repair message_openings: 1\n" in capsys.readouterr().err


def test_an_error_alone_is_known_by_its_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, wire('{"type":"error","error":{"type":"internal_error","message":"m"}}')[:-2])
    assert main(["repair"]) == 0
    assert capsys.readouterr().out == wire("error api_error m").decode()


def test_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    feed(monkeypatch, GOOD)
    assert main(["check"]) == 0
    feed(monkeypatch, BROKEN)
    assert main(["check"]) == 1
    assert "message_role" in capsys.readouterr().out


def test_check_of_transcriptions_goes_by_the_form_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = b'data: {"type":"transcript.text.delta","delta":"a"}\n\n'
    feed(monkeypatch, stream)
    assert main(["check", "--transcripts", "openai"]) == 1
    assert ": done_event: " in capsys.readouterr().out
    feed(monkeypatch, stream)
    assert main(["check"]) == 1
    assert ": chunk_fields: " in capsys.readouterr().out


def test_the_request_is_known_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"tools": [{"name": "look", "input_schema": {"required": ["a"]}}]}', "utf-8")
    feed(monkeypatch, wire("start\ncall 0 x look\nstop 0\nend tool_use\nover"))
    made = tmp_path / "made.sse"
    assert main(["repair", "--request", str(request), "-o", str(made)]) == 0
    assert b"event: error" in made.read_bytes()
