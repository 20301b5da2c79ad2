"""The document of the rules, the catalogue it is made of, and the laboratory that measures recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.families.chat.test_conformance import bare
from tests.support.catalogue import DEFECTS, NOTES
from tests.support.conformance_document import DOCUMENT, FAMILIES, document
from tests.support.judge_recordings import defects_of, load, load_all, main
from vllm_sse_proxy.families.recognition import Family

if TYPE_CHECKING:
    from vllm_sse_proxy.families.judging import Violation

RECORDINGS = Path(__file__).parents[1] / "recordings" / "families"


def test_the_document_is_up_to_date() -> None:
    written = DOCUMENT.read_text("utf-8")
    assert written == document(written)


@pytest.mark.parametrize("family", NOTES)
def test_every_rule_has_its_note_and_every_note_its_rule(family: str) -> None:
    judge = next(judge for name, _, judge, _ in FAMILIES if name == family)
    assert set(NOTES[family]) == set(judge.RULES)
    assert set(judge.RULES) >= judge.MINOR | judge.CONTENT


def test_defects_that_are_named_are_explained_and_the_other_way_round() -> None:
    named = {id_ for notes in NOTES.values() for note in notes.values() for id_ in note.defects}
    assert named == set(DEFECTS)


# What chosen recordings break, and why. Of the others `judge_recordings` says.
SEEN: dict[str, set[str]] = {
    "0.12.0/ds-c-required": {"forced_call C35"},
    "0.12.0/ds-m-texttool": {
        "done_marker A02",
        "message_role A01",
        "message_stops A06",
        "message_usage A06",
        "stop_sequence A14",
    },
    "0.17.0/ds-c-parallel-false": {"tool_calls_list C10", "call_head_arguments C19"},
    "0.17.0/ds-c-n2-tools": {
        "arguments_excess C17 C45",
        "arguments_json C23",
        "call_head C15 C42",
        "call_head_arguments C19",
        "call_index C28 C42 C15",
    },
    "0.17.0/llama3-c-stop-call": {"arguments_missing C37", "call_head_arguments C19"},
    "0.17.0/llama3-a-tool": {
        "done_marker A02",
        "message_role A01",
        "stop_reason_calls A12",
        "stop_sequence A14",
    },
    "0.20.2/hermes8-c-two": {
        "call_head_arguments C19",
        "call_piece C43",
        "calls_in_delta C44",
        "tool_calls_list C10",
    },
    "0.20.2/hermes8-c-cut-one12": {"finish_calls C16", "tool_calls_list C10"},
    "0.20.2/hermes8-c-notools": {
        "call_head_arguments C19",
        "call_piece C43",
        "call_unasked C48",
        "calls_in_delta C44",
        "tool_calls_list C10",
    },
    "0.32.0/gptoss8-c-abort": {"finish_reason C30"},
    "0.32.0/gptoss8-c-sigterm": {"end C34 C02"},
    "0.32.0/gptoss8-c-cut-order18": {"call_markup C40"},
    "0.32.0/gptoss8-c-stop": {"stop_string C41"},
    "0.32.0/kimi3-c-alien": {"call_markup C20"},
    "0.32.0/deepseek8-c-alien": {"call_markup C20", "delta_kinds C26"},
    "0.32.0/kimi3-c-cut-one12": {"call_name C22 C49"},
    "0.32.0/hermes3-c-stop-call": {"arguments_cut C37", "call_head_arguments C19", "delta_kinds C26"},
    "0.32.0/hermes3-c-stop-miss": {"call_head_arguments C19", "delta_kinds C26", "thought_markup C36"},
    "0.32.0/deepseek8-c-enginekill": set(),
    "0.32.0/gptoss8-a-pause": {"block_signature A15", "stop_reason A17"},
    "0.32.0/gptoss8-a-sigterm": {"block_signature A15", "end A22"},
    "0.32.0/plain-m-cut": set(),
    "0.32.0/gptoss8-t-pause": {"finish_reason L01"},
    "0.32.0/gptoss8-t-echolog": set(),
    "0.32.0/gptoss8-t-twolog": set(),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_recordings_break(name: str) -> None:
    judged = load(RECORDINGS / f"{name}.sse")
    assert judged is not None
    found = {" ".join((each.rule, *defects_of(judged, each))) for each in judged.violations}
    assert found == SEEN[name]


def test_every_release_and_parser_has_streams_that_conform() -> None:
    judged = load_all(RECORDINGS)
    assert {each.release for each in judged if not each.serious} == {"0.12.0", "0.17.0", "0.20.2", "0.32.0"}


def write(folder: Path, name: str, body: bytes, path: str, end: str = "eof", status: int = 200) -> None:
    (folder / f"{name}.sse").write_bytes(body)
    (folder / f"{name}.req.json").write_text(json.dumps({"method": "POST", "path": path, "body": {}}))
    meta = {"status": status, "headers": {"Content-Type": "text/event-stream"}, "end": end}
    (folder / f"{name}.meta.json").write_text(json.dumps(meta))


def test_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "0.32.0"
    folder.mkdir()
    good = bare({"content": "Hi"}).encode()
    write(folder, "good", good, "/v1/chat/completions")
    write(folder, "cut", good.replace(b'"stop"', b"null"), "/invocations")
    write(folder, "empty", bare({"content": "Hi", "tool_calls": []}).encode(), "/v1/chat/completions?x=1")
    write(folder, "left", good[:20], "/v1/chat/completions", "client closed no-final-chunk")
    write(folder, "refused", b"{}", "/v1/chat/completions", status=400)
    write(folder, "other", good, "/v1/responses")
    assert main([str(tmp_path)]) == 0
    report = capsys.readouterr().out
    assert "chat           0.32.0  1 of 3 (33.3 %)" in report
    assert "1 more left by the recorder" in report
    assert "    1 end                            0.32.0: 1" in report
    assert "C34 or C02 1" in report


def test_the_listing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDINGS), "--rule", "finish_reason"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "0.32.0/gptoss8-c-abort-n2",
        "0.32.0/gptoss8-c-abort-n2",
        "0.32.0/gptoss8-c-abort",
        "0.32.0/gptoss8-t-pause",
    ]
    assert "`abort`" in lines[0]
    assert main([str(RECORDINGS), "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 300


def test_a_family_is_recognised_by_the_path(tmp_path: Path) -> None:
    write(tmp_path, "audio", b"", "/v1/audio/transcriptions")
    judged = load(tmp_path / "audio.sse")
    assert judged is not None
    assert judged.family is Family.TRANSCRIPTIONS
    assert [each.rule for each in judged.violations] == ["done_event"]
    violation: Violation = judged.violations[0]
    assert defects_of(judged, violation) == ("T05",)
