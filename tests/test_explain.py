"""`repair --explain`, what `check` says of input that is not a stream, and folders of recordings as input."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.goldens import RECORDINGS, load_golden, load_goldens
from tests.support.whole_stream import WHOLE
from vllm_sse_proxy import BodyEnd, StreamNormalizer
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.cli.explaining import Explainer, Explanation, differences
from vllm_sse_proxy.demo.report import Screen
from vllm_sse_proxy.demo.scenarios import SCENARIOS
from vllm_sse_proxy.families import CHAT, FAMILIES
from vllm_sse_proxy.settings import CoreSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.goldens import Golden

GOLDENS = [golden for family in FAMILIES for golden in load_goldens(family)]
GOOD = b"".join(WHOLE)


def explained(
    golden: Golden, screen: Screen | None = None, *, size: int = 1 << 20
) -> tuple[list[str], bytes]:
    """Return the explanation of a golden, and the stream, fed in chunks of a size."""
    plan = CoreSettings(reasoning=golden.reasoning, dialect=golden.dialect).plan(golden.family)
    normalizer = StreamNormalizer(plan, golden.family.context("", golden.request))
    explainer, explanation = Explainer(normalizer), Explanation(screen or Screen())
    lines: list[str] = []
    for start in range(0, len(golden.upstream), size):
        lines += explanation.lines(explainer.feed(golden.upstream[start : start + size]))
    lines += explanation.lines(explainer.finish(golden.end))
    lines += explanation.rest()
    return lines, b"".join(explainer.made)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.folder.name)
class TestGoldens:
    def test_the_stream_is_the_same(self, golden: Golden) -> None:
        plan = CoreSettings(reasoning=golden.reasoning, dialect=golden.dialect).plan(golden.family)
        whole = StreamNormalizer(plan, golden.family.context("", golden.request))
        expected = whole.feed(golden.upstream) + whole.finish(golden.end)
        assert explained(golden)[1] == expected

    def test_the_repair_is_named_and_lines_fit(self, golden: Golden) -> None:
        lines, _ = explained(golden, Screen(width=80))
        if golden.name != "open_responses_fields":  # of a dialect
            assert re.search(rf"\b{golden.name}\b", " ".join(lines))
        assert max(map(len, lines)) <= 80

    def test_chunks_make_no_difference(self, golden: Golden) -> None:
        assert explained(golden, size=7)[0] == explained(golden)[0]


def test_a_conforming_stream_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.sse"
    file.write_bytes(GOOD)
    assert main(["repair", "--explain", str(file)]) == 0
    assert capsys.readouterr().out == "    0–8  9 events: untouched\n"


def test_the_end_of_a_chat() -> None:
    """``[DONE]`` ends it, and is an event of its own."""
    normalizer = StreamNormalizer(CoreSettings().plan(CHAT))
    explainer, explanation = Explainer(normalizer), Explanation(Screen())
    head = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    chunks = ('{"role":"assistant","content":"Hi"},"finish_reason":null}]}', '{},"finish_reason":"stop"}]}')
    body = "".join(f"data: {head}{chunk}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    lines = [*explanation.lines(explainer.feed(body.encode())), *explanation.rest()]
    assert lines == ["    0–2  3 events: untouched"]


def test_a_diff_that_people_read() -> None:
    normalizer = StreamNormalizer(CoreSettings().plan())
    explainer, explanation = Explainer(normalizer), Explanation(Screen())
    text = "\n".join([*explanation.lines(explainer.feed(SCENARIOS[0].body)), *explanation.rest()])
    assert re.search(r'^- +delta: \{"content":"[^"]*"\}\n\+ +delta: "[^"]*"$', text, re.MULTILINE)
    assert re.search(r"^\+ +response: \d+ members: error, ", text, re.MULTILINE)
    assert re.search(r"likewise$", text, re.MULTILINE)


def test_what_was_held_and_the_end() -> None:
    """A closing that waits for the next event leaves with it, and is shown as its own."""
    normalizer = StreamNormalizer(CoreSettings().plan())
    explainer, explanation = Explainer(normalizer), Explanation(Screen())
    lines = [
        *explanation.lines(explainer.feed(b"".join(WHOLE[:5]))),
        *explanation.lines(explainer.finish(BodyEnd.CUT)),
    ]
    assert lines[0] == "    0–4  5 events: untouched"
    assert any("end of the body" in line for line in lines)
    assert any(line.startswith("+") and "response.failed" in line for line in lines)


def test_colours() -> None:
    screen = Screen(bad="<", good=">", off="|", dim="d", bold="b")
    lines, _ = explained(load_golden(RECORDINGS / "string_deltas"), screen)
    assert any(line.startswith("<-") and line.endswith("|") for line in lines)
    assert any(line.startswith(">+") for line in lines)


def test_data_that_is_not_json() -> None:
    normalizer = StreamNormalizer(CoreSettings().plan(CHAT))
    explainer, explanation = Explainer(normalizer), Explanation(Screen())
    body = b": hi\n\ndata: \x1b[2J what\n\ndata: [1]\n\ndata: {}"
    lines = [*explanation.lines(explainer.feed(body)), *explanation.lines(explainer.finish(BodyEnd.CUT))]
    lines += explanation.rest()
    assert "\x1b" not in "".join(lines)
    assert any("what" in line for line in lines)


def test_output_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = load_golden(RECORDINGS / "string_deltas")
    out = tmp_path / "fixed.sse"
    arguments = [
        "repair",
        "--explain",
        "--summary",
        str(golden.folder / "upstream.sse"),
        "-o",
        str(out),
        "--reasoning",
        "raw",
    ]
    assert main(arguments) == 0
    assert out.read_bytes() == golden.expected
    said = capsys.readouterr()
    assert "string_deltas" in said.out
    assert "events read" in said.err


def test_differences() -> None:
    before = {"a": 1, "b": [1, {"c": 2}], "d": [1], "e": 1}
    after = {"a": 1.0, "b": [1, {"c": 3}], "d": [1, 2], "f": 1}
    assert [path for path, _, _ in differences(before, after)] == ["a", "b[1].c", "d", "e", "f"]


class TestFolders:
    """A folder with a recording in it is read whole: stream, request, and how the body ended."""

    def test_repair(self, tmp_path: Path) -> None:
        golden = load_golden(RECORDINGS / "chat-call_arguments")
        out = tmp_path / "fixed.sse"
        assert main(["repair", str(golden.folder), "-o", str(out)]) == 0
        assert out.read_bytes() == golden.expected

    def test_the_end(self, tmp_path: Path) -> None:
        golden = next(one for one in GOLDENS if one.end is BodyEnd.CUT)
        plan = CoreSettings().plan(golden.family)
        normalizer = StreamNormalizer(plan, golden.family.context("", golden.request))
        out = tmp_path / "fixed.sse"
        assert main(["repair", str(golden.folder), "-o", str(out)]) == 0
        assert out.read_bytes() == normalizer.feed(golden.upstream) + normalizer.finish(BodyEnd.CUT)

    def test_check(self, tmp_path: Path) -> None:
        (tmp_path / "upstream.sse").write_bytes(GOOD)
        assert main(["check", str(tmp_path)]) == 0
        assert main(["check", str(RECORDINGS / "chat-call_arguments")]) == 1

    @pytest.mark.parametrize("text", ["no toml", 'end = "never"'])
    def test_an_origin_that_cannot_be_read(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        (tmp_path / "upstream.sse").write_bytes(GOOD)
        (tmp_path / "origin.toml").write_text(text, "utf-8")
        assert main(["repair", str(tmp_path)]) == 2
        assert "origin.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "but empty"),
        (b" \n\n", "but empty"),
        (b"<!doctype html><html>", "a page of HTML or XML"),
        (b"HTTP/1.1 200 OK\r\n\r\ndata: {}\n\n", "leave out the head"),
        (json.dumps({"error": {"message": "no"}}, indent=1).encode(), "one JSON document"),
        (b"hello\nworld\n", "text without a single event"),
        (b'data: {"a":1}\n\n', "none of its 1 events"),
        (b"data: " + b"x" * (1 << 24), "without the events of a stream"),
    ],
)
def test_check_says_what_is_no_stream(
    body: bytes, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("this is not a stream")
    assert said in out
    assert out.count("\n") == 1, "one line, and no violations"


@pytest.mark.parametrize(
    ("family", "body", "said"),
    [
        ("chat", GOOD, "this is not a chat stream, but a responses stream\n"),
        ("chat", b"hello", "this is not a chat stream, but text without a single event"),
    ],
)
def test_check_of_another_family(
    family: str, body: bytes, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert main(["check", "--family", family]) == 1
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize("body", [b"", b'data: {"a":1}\n\n'])
def test_a_named_family_is_judged_all_the_same(
    body: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert main(["check", "--family", "responses"]) == 1
    assert "this is not" not in capsys.readouterr().out
