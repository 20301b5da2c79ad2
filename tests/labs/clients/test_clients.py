"""The streams that real clients are run against, the judge of what they do, and what is kept of it. No client runs."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.labs import results
from tests.labs.clients import quick
from tests.labs.clients.conversations import SHELL, WEATHER
from tests.labs.clients.explanations import EXPLANATIONS, Explanation
from tests.labs.clients.installation import CLIENTS
from tests.labs.clients.judge import Outcome, Outcomes, Run, history_of, judge
from tests.labs.clients.run import Kept, read_results, write_results
from tests.labs.clients.scenarios import references, rows, scenarios
from tests.labs.clients.table import client_table, left_over, scenario_table
from tests.support.replay import faults, normalize
from tests.support.upstream import Chunk, Cut, End, Reset, Wait
from vllm_sse_proxy import BodyEnd, Reasoning, build_plan
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.families.responses.defects import DEFECTS
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.upstream import Step

CORRECTIONS = corrections_of(RESPONSES)

KNOWN = {scenario.name: scenario for scenario in scenarios(WEATHER)}
ENDS = {End: BodyEnd.EOF, Cut: BodyEnd.CUT, Reset: BodyEnd.RESET, Wait: BodyEnd.IDLE_TIMEOUT}
"""How a body ended for the core, by the last step of its script."""
NOT_ON_A_PLAIN_STREAM = {
    ("terminal_types", "R02"): "that a response was cancelled comes from vLLM's answer to the proxy's question, and only a "
    "background stream is asked about: tests/server and tests/labs/live",
    ("unterminated_streams", "F01"): "the fork's error becomes `error`, and what follows an error is ended by late_events or "
    "error_events first: tests/families/responses",
    ("done_texts", "R19"): "held_closings waits for the whole arguments, so that the done event is right when it comes here",
    ("done_texts", "R33"): "the done event has the right input, and stays; what was streamed before cannot be recalled",
    ("done_texts", "F01"): "string_deltas reads the field that the fork uses, so that the done event is right by then",
    ("open_responses_fields", "R27"): "in dialect open-responses only: tests/labs/conformance",
    ("annotations", "F01"): "missing_fields gives the one annotation of this stream its index, which is right",
    **{
        ("converted_calls", id_): "only a request that was refused and repaired is answered so: tests/labs/requests"
        for id_ in ("R50", "R51")
    },
    ("split_characters", "P01"): "halves of characters are JSON that most clients read: tests/families/responses",
}  # fmt: skip
"""Pairs of a repair and a defect that no scenario shows, each with its reason."""


def test_what_ci_runs_exists() -> None:
    assert set(quick.CHOSEN) <= set(KNOWN)
    assert set(quick.BROKEN_FOR_ALL) <= set(quick.CHOSEN)
    assert set(quick.ENVIRONMENTS) <= {client.name for client in CLIENTS}


@pytest.mark.parametrize("tool", [WEATHER, SHELL], ids=lambda tool: tool.name)
def test_perfect_streams_conform(tool: object) -> None:
    for name, turns in references(WEATHER if tool is WEATHER else SHELL).items():
        for steps in turns:
            stream = b"".join(step.data for step in steps if isinstance(step, Chunk))
            found = faults(stream.removesuffix(b"data: [DONE]\n\n") + b"data: [DONE]\n\n") if stream else []
            if " failed" in name:
                # OpenAI closes nothing when a response fails; the proxy's judge wants it closed.
                found = [fault for fault in found if not re.search("items_closed|terminal_output", fault)]
            assert not found, f"{name}: {found}"


def test_every_row_has_scenarios_and_every_defect_a_row() -> None:
    assert [name for name, _, _ in rows()] == list(dict.fromkeys(scenario.row for scenario in KNOWN.values()))
    shown = {id_ for _, ids, _ in rows() for id_ in ids.split()}
    assert not set(DEFECTS) - shown


def test_every_repair_has_a_scenario_of_each_defect_that_it_mends() -> None:
    """The whole catalogue is replayed: in a stream that names the defect, the repair is at work."""
    defects = {name: ids.split() for name, ids, _ in rows()}
    at_work: set[tuple[str, str]] = set()
    for scenario in scenarios(WEATHER):
        for steps in scenario.turns:
            for repair in _repairs_of(steps, Reasoning(scenario.reasoning)):
                at_work |= {(repair, id_) for id_ in defects[scenario.row]}
    wanted = {(repair.name, id_) for repair in CORRECTIONS for id_ in repair.fixes}
    assert wanted - at_work == set(NOT_ON_A_PLAIN_STREAM)


def _repairs_of(steps: Sequence[Step], reasoning: Reasoning) -> set[str]:
    """Return the repairs that the core needs for this answer."""
    end = ENDS.get(type(steps[-1]))
    if end is None:  # no stream: a JSON answer
        return set()
    plan = build_plan(strict=True, reasoning=reasoning)
    _, normalizer = normalize([step.data for step in steps if isinstance(step, Chunk)], end, plan=plan)
    return {name for name, count in normalizer.tally.repairs.items() if count}


def test_names_of_scenarios_are_unique() -> None:
    made = scenarios(WEATHER)
    assert len({scenario.name for scenario in made}) == len(made)


class TestResults:
    def test_hold_the_pinned_versions(self) -> None:
        kept = read_results()
        for client in (client for client in CLIENTS if client.name in kept):
            pins = client.environment.pins
            text = "".join(file.read_text("utf-8") for file in (pins if isinstance(pins, list) else [pins]))
            for package, version in kept[client.name].versions.items():
                pinned = f"{package}==" in text.lower() or f'"{package}"' in text
                assert pinned, f"{client.name}: {package} is not pinned"
                assert version in text, f"{client.name}: {package} {version} was run, and another is pinned"

    def test_what_is_not_perfect_is_explained(self) -> None:
        open_ = [
            f"{client} {scenario}: {letter}"
            for client, scenario, letter in left_over()
            if not any(one.explains(client, scenario, letter) for one in EXPLANATIONS)
        ]
        assert not open_

    @pytest.mark.parametrize("explanation", EXPLANATIONS, ids=lambda one: one.title)
    def test_every_explanation_is_needed(self, explanation: Explanation) -> None:
        assert any(explanation.explains(*one) for one in left_over())

    def test_stay_where_a_run_left_something_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(results, "FOLDER", tmp_path)
        one, other, *_ = list(KNOWN)
        same, lost = Outcomes(Outcome.SAME, Outcome.SAME), Outcomes(Outcome.CALLS, Outcome.SAME)
        write_results(
            {"codex": Kept({"codex": "1"}, "2026-01-01", {other: lost, one: same, "gone/text": same})}
        )
        write_results({"codex": Kept({"codex": "1"}, "2026-01-02", {one: lost})})
        assert read_results() == {"codex": Kept({"codex": "1"}, "2026-01-02", {one: lost, other: lost})}
        write_results({"openai-node": Kept({"openai": "7"}, "2026-01-03", {other: same})})
        assert list(read_results()) == ["codex", "openai-node"]
        write_results({"codex": Kept({"codex": "2"}, "2026-01-04", {one: same})})
        assert read_results()["codex"].outcomes == {one: same}, (
            "another version: what the old one did is gone"
        )
        assert read_results()["openai-node"].outcomes == {other: same}

    def test_say_what_was_not_run_yet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(results, "FOLDER", tmp_path)
        run = {
            name: Outcomes(Outcome.SAME, Outcome.SAME)
            for name in KNOWN
            if not name.startswith(("cr/", "bom/"))
        }
        write_results({client.name: Kept({}, "2026-01-01", run) for client in CLIENTS[:-1]})
        rows = {line.partition("`: ")[0]: line for line in scenario_table().splitlines()}
        assert rows["| `cr"].count("not run yet") == len(CLIENTS)
        assert rows["| `crlf"].count("not run yet") == 1
        assert client_table().splitlines()[-3].count("not run yet") == 1
        assert client_table().splitlines()[-1] == "Not run yet: `cr/text`, `bom/text`."
        (tmp_path / "clients.json").unlink()
        assert client_table().count("not run yet") == len(CLIENTS)

    @pytest.mark.parametrize("before", Outcome)
    @pytest.mark.parametrize("after", Outcome)
    def test_are_signs(self, before: Outcome, after: Outcome) -> None:
        both = Outcomes(before, after)
        assert Outcomes.parse(str(both)) == both
        assert len(str(both)) == (1 if before is after else 2)
        assert both.is_worse == (list(Outcome).index(after) < list(Outcome).index(before))


GOOD = Run(text="Hi", final="Hi", calls=[["f", '{"a": 1}']], finish="completed", posts=2, history=[["x", 0]])
FAILED = Run(text="Hi", error={"class": "APIError", "message": "died"}, posts=1)


class TestJudge:
    @pytest.mark.parametrize(
        ("change", "outcome"),
        [
            ({}, Outcome.SAME),
            ({"calls": [["f", '{"a":1}']]}, Outcome.SAME),
            ({"hung": True}, Outcome.HANG),
            ({"posts": 3}, Outcome.LOOP),
            ({"error": {"class": "E", "message": "m"}}, Outcome.ERROR),
            ({"calls": []}, Outcome.CALLS),
            ({"text": "HiHi"}, Outcome.TEXT),
            ({"final": ""}, Outcome.TEXT),
            ({"reasoning": "Hm"}, Outcome.REASONING),
            ({"history": [["x", 1]]}, Outcome.HISTORY),
            ({"finish": None}, Outcome.FINISH),
        ],
    )
    def test_against_success(self, change: dict[str, object], outcome: Outcome) -> None:
        assert judge(replace(GOOD, **change), GOOD).outcome is outcome  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("change", "outcome"),
        [
            ({"error": {"class": "APIError", "message": "another"}}, Outcome.SAME),
            ({"error": {"class": "APIError", "message": ""}}, Outcome.ERROR),
            ({"error": {"class": "TypeError", "message": "died"}}, Outcome.ERROR),
            ({"error": None}, Outcome.SILENT),
            ({"posts": 2, "error": None}, Outcome.LOOP),
        ],
    )
    def test_against_failure(self, change: dict[str, object], outcome: Outcome) -> None:
        assert judge(replace(FAILED, **change), FAILED).outcome is outcome  # type: ignore[arg-type]

    def test_upstream_s_own_message_must_come_through(self) -> None:
        reference = replace(FAILED, error={"class": "APIError", "message": "The engine has died."})
        assert judge(FAILED, reference, says_why=True).outcome is Outcome.ERROR
        assert judge(reference, reference, says_why=True).outcome is Outcome.SAME

    def test_a_limit_that_is_not_reported_is_silence(self) -> None:
        reference = replace(GOOD, finish="incomplete")
        assert judge(GOOD, reference).outcome is Outcome.SILENT


def test_history_replaces_ids_by_their_order() -> None:
    def history(call: str, output: str) -> list[object]:
        items: list[dict[str, object]] = [
            {"role": "user", "content": "?"},
            {"type": "function_call", "call_id": call, "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": output, "output": "o"},
        ]
        return history_of([{"input": "?"}, {"input": items}])

    assert history("a", "a") == history("b", "b") != history("a", "b")
    assert history_of([{"input": "?"}]) == []
