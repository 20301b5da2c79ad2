"""`check` and `repair` on streams of every family."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, wire
from vllm_sse_proxy.cli import main

BROKEN = wire(
    f'{ROLE}\n{{"tool_calls":[{{"index":0,"id":"a","type":"function","function":{{"name":"get_weather"}}}}]}}\n{{}} -> tool_calls\n[DONE]'
)
RECORDINGS = Path(__file__).parent / "recordings"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.sse"
    file.write_bytes(BROKEN)
    return file


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(REQUEST), "utf-8")
    return file


def test_check_and_repair_know_a_chat_by_what_it_says(
    broken: Path, request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(broken), "--request", str(request_file)]) == 1
    assert "call_head_arguments" in capsys.readouterr().out
    fixed = tmp_path / "fixed.sse"
    assert main(["repair", str(broken), "-o", str(fixed), "--request", str(request_file), "--summary"]) == 0
    assert "repair call_heads: 1" in capsys.readouterr().err
    assert main(["check", str(fixed), "--request", str(request_file)]) == 0
    assert main(["repair", str(broken), "-o", str(fixed), "--family", "chat"]) == 0
    assert main(["check", str(fixed), "--family", "chat"]) == 0


@pytest.mark.parametrize("name", ["chat-finish_reasons", "completions-finish_reasons", "terminal_types"])
def test_each_family_is_known(name: str, tmp_path: Path) -> None:
    folder, fixed = RECORDINGS / name, tmp_path / "fixed.sse"
    asked = ["--request", str(folder / "request.json")] if (folder / "request.json").exists() else []
    assert main(["repair", str(folder / "upstream.sse"), "-o", str(fixed), *asked]) == 0
    assert fixed.read_bytes() == (folder / "expected.sse").read_bytes()
    assert main(["check", str(fixed), *asked]) == 0


def test_an_error_alone_is_a_chat(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    error = b'data: {"error":"no"}\n\n'
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(error)))
    assert main(["repair"]) == 0
    assert capsysbinary.readouterr().out.startswith(b'data: {"error":{"message":"no"')
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(error.rstrip())))
    assert main(["check"]) == 1


def test_what_says_nothing_is_said_to_be_no_stream(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    for stream in (b"", b": ping\n\n", b": " + b"x" * (1 << 21), b"data: " + b"x" * (9 << 20)):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stream)))
        assert main(["check"]) == 1
        assert b"this is not a stream of any known family" in capsysbinary.readouterr().out


def test_messages_are_judged(tmp_path: Path) -> None:
    file = tmp_path / "messages.sse"
    file.write_bytes(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert main(["check", str(file)]) == 1


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is not JSON"), ("[]", "is not a JSON object"), (None, "No such file")]
)
def test_a_request_that_cannot_be_read(
    text: str | None, said: str, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "request.json"
    if text is not None:
        file.write_text(text, "utf-8")
    assert main(["check", str(broken), "--request", str(file)]) == 2
    assert said in capsys.readouterr().err
