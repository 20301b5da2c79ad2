"""Conformance suites that others wrote: how each is installed, run, and read.

- llm-comply (PyPI): the Open Responses schema of 2026-04-24 on every event, order and numbers.
- llmprobe (npm): what it calls MUST of an engine, with the same schema as Zod types; of its surfaces, `/v1/responses`.
- Open Responses (a checkout, environment variable OPEN_RESPONSES_SUITE): the specification's own compliance tests. They are
  in no package. The checkout needs its packages (`npm install`); tsx runs them here, which is pinned beside llmprobe.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.labs.clients.installation import Environment, InstallationError, NodeEnvironment, PythonEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
LLM_COMPLY = PythonEnvironment("llm-comply", HERE)
LLMPROBE = NodeEnvironment("llmprobe", HERE)
CHECKOUT = "OPEN_RESPONSES_SUITE"
PATIENCE_SECONDS = 180
"""How long one run of a suite may take; seconds against a replay, minutes against a model."""
KEY = "none"
DETAIL_LENGTH = 170
DETAIL_HEAD = 60
MOST_DETAILS = 3


@dataclass(frozen=True)
class Check:
    """One check of a suite, as it ended.

    :ivar outcome: `pass`, `fail`, or `skip` where the suite itself did not judge.
    :ivar details: why it failed, in the suite's words; shortened, the first few.
    """

    id: str
    outcome: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A suite.

    :ivar streamed: ids of the checks that read a stream; the others read plain JSON, or judge the model.
    :ivar command: what runs it against a base URL and a model, and prints JSON; ``read``: the checks in that.
    """

    name: str
    title: str
    environment: Environment
    streamed: tuple[str, ...]
    command: Callable[[str, str], list[str]]
    read: Callable[[Any], list[Check]]
    version: Callable[[], str]

    def install(self) -> None:
        """Install it, unless it is there as it is pinned; an InstallationError says what is missing."""
        self.version()
        self.environment.install()

    async def run(self, base_url: str, model: str) -> list[Check]:
        """Run it against a server; an InstallationError if it prints no results."""
        with tempfile.TemporaryDirectory() as home:  # llmprobe keeps a library of its runs there
            # A file, not a pipe: llmprobe exits before a pipe has taken more than 64 KiB of what it prints.
            printed = Path(home) / "printed"
            with printed.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    *self.command(f"{base_url}/v1", model), stdin=asyncio.subprocess.DEVNULL, stdout=file,
                    stderr=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"], "HOME": home},
                )  # fmt: skip
                async with asyncio.timeout(PATIENCE_SECONDS):
                    _, err = await process.communicate()
            out = printed.read_bytes()
        try:
            return self.read(json.loads(out))
        except (ValueError, KeyError, TypeError) as error:
            said = (err or out).decode(errors="replace")[-400:]
            raise InstallationError(f"{self.name} printed no results: {said}") from error


def _short(errors: Sequence[str]) -> tuple[str, ...]:
    """Return the first errors that differ, each on one line of bounded length; and how many more there are."""
    lines = list(dict.fromkeys(" ".join(error.split()) for error in errors))
    shown = [_without_middle(line) for line in lines[:MOST_DETAILS]]
    more = len(lines) - MOST_DETAILS
    return tuple(shown + ([f"and {more} more"] if more > 0 else []))


def _without_middle(line: str) -> str:
    """Return the line without the value in its middle: the reason stands at its end."""
    if len(line) <= DETAIL_LENGTH:
        return line
    return f"{line[:DETAIL_HEAD]} … {line[-(DETAIL_LENGTH - DETAIL_HEAD - 3) :]}"


def _compliance_checks(printed: Any) -> list[Check]:
    """Read what llm-comply prints, and the suite of Open Responses, whose form it took over."""
    outcomes = {"passed": "pass", "failed": "fail"}
    return [
        Check(
            one["id"],
            outcome := outcomes.get(one["status"], "skip"),
            _short(one.get("errors", [])) if outcome == "fail" else (),
        )
        for one in sorted(printed["results"], key=lambda one: str(one["id"]))
    ]


def _llmprobe_checks(printed: Any) -> list[Check]:
    """Read the checks of `/v1/responses`. Only what the suite calls MUST fails a check."""
    return [
        Check(
            one["id"],
            one["outcome"] if one["outcome"] in ("pass", "fail") else "skip",
            _short([f"{fault['id']}: {fault['message']}" for fault in one["failures"] if fault["severity"] == "MUST"]),
        )
        for one in printed["conformance"]["results"]
        if one["surface"] == "responses"
    ]  # fmt: skip


def _checkout() -> Path:
    folder = os.environ.get(CHECKOUT)
    if not folder or not (Path(folder) / "bin" / "compliance-test.ts").exists():
        raise InstallationError(f"{CHECKOUT} names no checkout of openresponses/openresponses")
    return Path(folder).absolute()


def _schema_version() -> str:
    document = json.loads((_checkout() / "public" / "openapi" / "openapi.json").read_bytes())
    return f"OpenAPI {document['info']['version']}"


def _llm_comply_version() -> str:
    pins = dict(line.split("==") for line in LLM_COMPLY.pins.read_text("utf-8").split())
    return pins["llm-comply"]


def _llmprobe_version() -> str:
    version: str = json.loads(LLMPROBE.pins[0].read_bytes())["dependencies"]["llmprobe"]
    return version


SUITES: tuple[Suite, ...] = (
    Suite(
        "llm-comply",
        "llm-comply (PyPI)",
        LLM_COMPLY,
        ("streaming-response", "streaming-usage"),
        lambda url, model: [str(LLM_COMPLY.folder / "bin" / "llm-comply"), "-u", url, "-k", KEY, "-m", model, "--json"],
        _compliance_checks,
        _llm_comply_version,
    ),
    Suite(
        "llmprobe",
        "llmprobe (npm)",
        LLMPROBE,
        (
            "responses-streaming", "responses-event-order", "responses-parity", "responses-stream-usage",
            "responses-tool-stream-reassembly",
        ),
        lambda url, model: [
            "node", str(LLMPROBE.folder / "node_modules" / "llmprobe" / "bin" / "dist" / "llmprobe.mjs"),
            url, "-k", KEY, "-m", model, "--no-bench", "--no-save", "--no-color", "--json",
        ],
        _llmprobe_checks,
        _llmprobe_version,
    ),
    Suite(
        "open-responses",
        "Open Responses (checkout)",
        LLMPROBE,
        ("streaming-response", "tool-calling-streaming"),
        lambda url, model: [
            str(LLMPROBE.folder / "node_modules" / ".bin" / "tsx"), str(_checkout() / "bin" / "compliance-test.ts"),
            "--base-url", url, "--api-key", KEY, "--model", model, "--json",
        ],
        _compliance_checks,
        _schema_version,
    ),
)  # fmt: skip
