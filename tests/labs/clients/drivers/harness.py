"""What every Python driver does: read a job from each line of stdin, run it, print what came of it as one line of JSON.

Needs the standard library only: a driver runs in the environment of its client, not in that of the tests.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

MOST_TURNS = 4
"""More turns than any conversation has: a driver that runs tools itself stops here."""


@dataclass
class Job:
    """One conversation to have.

    :ivar base_url: with `/v1`; `key`: the API key, by which upstream knows what to answer.
    :ivar reasoning: what a client shows that has the choice: `raw` text, or the `summary`.
    :ivar tools: functions to offer, each with name, description and parameters; without, the one that every driver has.
    """

    base_url: str
    key: str
    prompt: str
    tool: str
    reasoning: str = "raw"
    tools: list[dict] = field(default_factory=list)

    @property
    def reasoning_delta(self) -> str:
        """The event whose deltas the user is shown as reasoning."""
        return f"response.reasoning{'_summary' if self.reasoning == 'summary' else ''}_text.delta"


@dataclass
class Result:
    """What a user of the client gets.

    :ivar text: what was streamed; ``final``: the text of the final response, where the client has one of its own.
    :ivar calls: name and arguments of each tool call that was run.
    """

    text: str = ""
    final: str | None = None
    reasoning: str = ""
    calls: list[tuple[str, object]] = field(default_factory=list)
    finish: str | None = None
    error: dict[str, str] | None = None

    def run_tool(self, name: str, arguments: object) -> str:
        """Note a call and return the tool's output."""
        self.calls.append((name, arguments))
        return "21 degrees"


def describe(error: BaseException) -> dict[str, str]:
    """Return an error as the report shows it; of a group, the first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return {"class": type(error).__name__, "message": str(error)[:400]}


def serve(packages: list[str], run: object) -> None:
    """Say which versions of these packages are used, then run every job until stdin ends."""
    answer_lines({name: version(name) for name in packages}, run)


def answer_lines(versions: dict[str, str], run: object) -> None:
    """Say these versions, then run every job until stdin ends."""
    out = sys.stdout
    sys.stdout = sys.stderr  # libraries that print must not disturb the lines
    print(json.dumps(versions), file=out, flush=True)
    with asyncio.Runner() as runner:  # one loop for all jobs: some clients keep their connections
        for line in sys.stdin:
            job, result = Job(**json.loads(line)), Result()
            try:
                outcome = run(job, result)
                if asyncio.iscoroutine(outcome):
                    runner.run(outcome)
            except Exception as error:  # noqa: BLE001 - whatever the client raises is what is looked for
                result.error = describe(error)
            print(json.dumps(asdict(result), default=str), file=out, flush=True)
