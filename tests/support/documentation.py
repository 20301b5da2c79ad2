"""The parts of README.md and docs/ that are made from the code: tables of repairs, settings, metrics and endings.

Each stands between two marker lines. `make docs` writes them again; `tests/test_docs.py` fails when one is out of step.
"""

from __future__ import annotations

import json
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic_core import PydanticUndefined

from tests.clients.table import client_table, explanation_list, letter_table, scenario_table
from tests.conformance import table as conformance
from tests.live import table as live
from tests.support import reliability
from vllm_sse_proxy.config import ENV_PREFIX, CoreSettings, Settings, flag_name
from vllm_sse_proxy.families.responses import REPAIRS, BodyEnd, Ending, Plan, StreamNormalizer
from vllm_sse_proxy.families.responses.repairs.base import Phase
from vllm_sse_proxy.metrics import PREFIX, Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import Metric
    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]

DEFECTS: tuple[tuple[str, str, str], ...] = (
    ("R01", "the stream is cut after HTTP 200: no terminal event, no error", "0.10.1, open"),
    ("R02", "background and resumed streams fall silent for ever", "0.11.0, open"),
    ("R03", "tool calls are streamed as plain text (models without harmony)", "0.10.2 to 0.17"),
    ("R04", "`response.completed` holds only the last token", "0.10.2 to 0.13"),
    ("R05", "`content_index` grows with every delta", "0.10.2 to 0.16"),
    ("R06", "`content_index` is not set back for the next item (harmony)", "0.11.0 to 0.24"),
    ("R07", "all `*.done` events carry the next item's `output_index` (harmony)", "0.10.1 to 0.13"),
    ("R08", "a message is announced with the reasoning's id and index", "0.10.2 to 0.16"),
    ("R09", "`*.done` events, or whole items, are missing", "0.10.1, in part open"),
    (
        "R10",
        "text is lost or in the wrong channel when a step yields several tokens (harmony)",
        "0.10.1 to 0.24",
    ),
    ("R11", "ids and `call_id`s in `response.completed` are new ones", "0.10.1 to 0.31"),
    ("R12", "a call's events disagree about its id and `call_id` (harmony)", "0.11.1 to 0.23"),
    ("R13", "`item_id` is empty (harmony)", "0.10.1 to 0.10.2"),
    ("R14", "`sequence_number: -1` inside items (harmony)", "0.11.1, open"),
    ("R15", "a response that was cut short ends with `response.completed`", "0.10.1 to 0.32"),
    ("R16", "an item that was cut short says `completed`", "0.10.1 to 0.32, harmony open"),
    ("R17", "reasoning and answer in one step: text lost, or under the wrong item", "0.10.2 to 0.20"),
    ("R18", "an empty first delta announces the wrong type of item", "0.10.2 to 0.20"),
    ("R19", "the end of a call's arguments is only in the terminal event", "0.18 to 0.22"),
    ("R20", "no events for function calls at all (harmony)", "0.10.1 to 0.11.0"),
    ("R21", "the preamble is never streamed (harmony)", "0.10.1 to 0.16"),
    ("R22", "two items share one `output_index` (browser tool)", "0.10.1, open"),
    ("R23", "the streamed item's type differs from the final one's (python, container)", "0.10.1, open"),
    ("R24", "private names `response.reasoning_part.added` and `.done`", "0.11.0 to 0.31"),
    ("R25", "reasoning opens with an `output_text` part that is never closed", "0.10.1 to 0.16"),
    ("R26", "`schema_` for `schema` in `text.format`", "0.10.1 to 0.19"),
    ("R27", "required fields of the response object are missing or null", "all, open"),
    ("R28", "logprobs are missing in done events", "all, open"),
    ("R29", "`error`, `response.failed` and other events are never sent", "all, open"),
    ("R30", "no `data: [DONE]`", "all, open"),
    ("R31", "`sequence_number` has gaps, repeats or is -1", "forks; inside items as R14"),
    ("R32", "usage lacks details that clients require", "all, in part open"),
    ("R33", "a custom tool's input is sent again in full", "0.32, open"),
    ("R34", "resuming and cancelling: a stream that never ends", "0.10.2, open"),
    ("R35", "text before a tool call closes as empty", "0.20.2"),
    ("R36", "a call that was cut short closes as a message with the text before it", "0.20.2"),
    ("R37", "forced calls (`tool_choice: required`) are streamed as JSON text", "0.20.2"),
    ("R38", "messages of white space are missing from the final output", "0.24.0"),
    ("R39", "`tool_choice: allowed_tools`: the call that was streamed is text in the final output", "0.24.0"),
    ("R40", "without reasoning, the message that was streamed is reasoning in the final output", "0.24.0"),
    (
        "R41",
        "a call that was cut after its name has no argument events and is missing from the output",
        "0.24.0",
    ),
    (
        "R42",
        "reasoning is `completed` in the stream, and without a status in the final output",
        "0.32.0, 0.33.0",
    ),
    ("R43", "an answer that was cut short says `completed` everywhere", "0.12.0"),
    ("R44", "open streams fall silent when the server is told to stop", "0.32.0"),
    (
        "R45",
        "without reasoning, a call that was streamed is reasoning in the final output",
        "0.22.1 to 0.30.0",
    ),
    ("R46", "the final output has other white space or special tokens than the stream", "0.17.0 to 0.28.0"),
    ("R47", "the tool of an MCP server has another name in the final output (harmony)", "0.24.0 to 0.32.0"),
    (
        "R48",
        "what was cut says `completed`, and only the final item that it is unfinished (harmony)",
        "0.24.0 to 0.32.0",
    ),
    ("R49", "reasoning or a call is closed as an empty message, and arguments are told twice", "0.18.1"),
    ("F01", "object deltas, private names and heartbeats of a fork", "a fork of 0.11"),
    ("C01", "an error object without a type inside the stream", "all; chat endpoint, and gateways"),
    ("P01", "payloads that are no event", "gateways"),
    ("P02", "a new response id in every event", "gateways"),
)
"""The catalogue: id, what is wrong on the wire, and the vLLM releases that have it (first to last)."""


def repair_table() -> str:
    """Return the repairs, in the order in which they are applied."""
    rows = (
        f"| [`{repair.name}`](docs/repairs.md#{repair.name}) | {repair.summary} | {', '.join(repair.fixes)} |"
        for repair in REPAIRS
    )
    return "\n".join(("| repair | what it does | defects |", "|---|---|---|", *rows))


def needed_list() -> str:
    """Return the repairs that cannot be switched off, with the reason."""
    return "\n".join(
        f"- [`{repair.name}`](#{repair.name}): {repair.needed}." for repair in REPAIRS if repair.needed
    )


def core_settings() -> str:
    """Return the settings that `serve`, `repair` and `check` share."""
    return _settings(CoreSettings.model_fields)


def server_settings() -> str:
    """Return the settings of `serve` alone."""
    own = {
        name: info for name, info in Settings.model_fields.items() if name not in CoreSettings.model_fields
    }
    return _settings(own)


def metric_table() -> str:
    """Return every metric of ours with its labels and their values."""
    rows = [_metric_row(family) for family in Metrics().registry.collect() if family.name.startswith(PREFIX)]
    return "\n".join(("| metric | type | labels | meaning |", "|---|---|---|---|", *rows))


ENDINGS: dict[Ending, tuple[str, str]] = {
    Ending.COMPLETED: ("nobody's", "nothing"),
    Ending.INCOMPLETE: ("nobody's", "if it is unwanted: a larger `max_output_tokens` in the request"),
    Ending.FAILED: ("vLLM's, or the request's", "read vLLM's log"),
    Ending.UPSTREAM_ERROR: ("vLLM's, or the request's", "read vLLM's log; the error's text is in the stream"),
    Ending.UNTERMINATED: ("vLLM's", "nothing at once: the answer is whole. Look for a newer vLLM"),
    Ending.TRUNCATED: ("vLLM's", "read vLLM's log for an exception at that time; look for a newer vLLM"),
    Ending.CUT: (
        "vLLM's, or what is between",
        "see whether vLLM was restarted or killed; else suspect a balancer's limit between proxy and vLLM",
    ),
    Ending.RESET: (
        "vLLM's, or what is between",
        "as `cut`; a firewall that forgets connections resets them too",
    ),
    Ending.IDLE_TIMEOUT: (
        "vLLM's",
        "see whether vLLM hangs; if it only thinks for long, raise `idle_timeout_seconds`",
    ),
    Ending.SHUTDOWN: ("the operator's", "raise `drain_timeout_seconds` and the grace period around it"),
    Ending.LIMIT: (
        "vLLM's, or the setting's",
        "raise `max_frame_bytes` or `max_text_bytes`, with the memory for it",
    ),
    Ending.EMPTY: ("vLLM's", "read vLLM's log: the request failed after it was accepted"),
    Ending.CLIENT_GONE: (
        "the client's, or what is between",
        "nothing, if users cancel; if all go after the same time, it is a timeout on the way to the client",
    ),
}
"""Whose fault an ending is, and what the operator can do."""


def ending_table() -> str:
    """Return the ways a stream ends."""
    rows = (f"| `{ending.value}` | {ending.meaning} | {' | '.join(ENDINGS[ending])} |" for ending in Ending)
    return "\n".join(("| ending | meaning | whose fault | what to do |", "|---|---|---|---|", *rows))


def defect_table() -> str:
    """Return the catalogue, with the repairs that say they mend each defect."""
    rows = []
    for id_, what, releases in DEFECTS:
        repairs = [
            f"[`{repair.name}`](repairs.md#{repair.name})" for repair in REPAIRS if id_ in repair.fixes
        ]
        rows.append(f"| {id_} | {what} | {releases} | {' '.join(repairs)} |")
    return "\n".join(("| id | what | releases | repairs |", "|---|---|---|---|", *rows))


PARTS: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "repairs"): repair_table,
    ("docs/compatibility.md", "defects"): defect_table,
    ("docs/compatibility.md", "clients"): client_table,
    ("docs/compatibility.md", "signs"): letter_table,
    ("docs/compatibility.md", "streams"): scenario_table,
    ("docs/compatibility.md", "explanations"): explanation_list,
    ("docs/compatibility.md", "suites"): conformance.suite_table,
    ("docs/compatibility.md", "recorded servers"): conformance.server_table,
    ("docs/compatibility.md", "failing checks"): conformance.explanation_list,
    ("docs/compatibility.md", "live runs"): live.run_table,
    ("docs/compatibility.md", "live scenarios"): live.row_table,
    ("docs/compatibility.md", "live faults"): live.fault_table,
    ("docs/compatibility.md", "live clients"): live.client_table,
    ("docs/compatibility.md", "live explanations"): live.explanation_list,
    ("docs/configuration.md", "core settings"): core_settings,
    ("docs/configuration.md", "server settings"): server_settings,
    ("docs/metrics.md", "metrics"): metric_table,
    ("docs/operations.md", "endings"): ending_table,
    ("docs/repairs.md", "needed repairs"): needed_list,
    ("docs/reliability.md", "upstream faults"): reliability.upstream_table,
    ("docs/reliability.md", "clients that leave"): reliability.leaving_table,
    ("docs/reliability.md", "other clients"): reliability.client_table,
    ("docs/reliability.md", "hostile bytes"): reliability.bytes_table,
    ("docs/reliability.md", "rolling restart"): reliability.restart_table,
    ("docs/reliability.md", "smuggling"): reliability.smuggling_table,
    ("docs/reliability.md", "soak"): reliability.soak_table,
}


def with_part(text: str, name: str, part: str) -> str:
    """Return `text` with `part` between the markers of `name`."""
    begin, end = f"<!-- made by `make docs`: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the markers of {name!r} are not there once")
    return pattern.sub(lambda _: f"{begin}\n{part}\n{end}", text)


def readme_after(before: str) -> str:
    """Return what the core makes of README's first example, as README shows it: `data` lines, objects shortened."""
    normalizer = StreamNormalizer(Plan.build(strict=True))
    made = normalizer.feed(before.replace("\n", "\n\n").encode()) + normalizer.finish(BodyEnd.EOF)
    lines = [line for line in made.decode().splitlines() if line.startswith("data: ")]
    return "".join(_shortened(line) + "\n" for line in lines)


def _shortened(line: str) -> str:
    if not line.startswith("data: {"):
        return line
    event = json.loads(line.removeprefix("data: "))
    response = event.get("response", {})
    if "status" not in response:
        return line
    event["response"] = {"id": response["id"], "status": response["status"], "…": 0}
    return "data: " + json.dumps(event, separators=(",", ":"), ensure_ascii=False).replace('"…":0', "…")


def write() -> None:
    """Write every part again."""
    for (document, name), make in PARTS.items():
        path = ROOT / document
        path.write_text(with_part(path.read_text("utf-8"), name, make()), "utf-8")
    repairs = ROOT / "docs" / "repairs.md"
    repairs.write_text(in_order(repairs.read_text("utf-8")), "utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_example(readme.read_text("utf-8")), "utf-8")


def in_order(document: str) -> str:
    """Return docs/repairs.md with its entries in the order of `REPAIRS`, each in the section of its phase.

    Raises:
        KeyError: a repair has no entry yet.
    """
    head, *sections = re.split(r"^(?=## )", document, flags=re.MULTILINE)
    titles, entries = [], {}
    for section in sections:
        title, *parts = re.split(r"^(?=### )", section, flags=re.MULTILINE)
        titles.append(title)
        entries.update(
            {part.split("\n", 1)[0].removeprefix("### "): part.rstrip() + "\n\n" for part in parts}
        )
    body = [
        title + "".join(entries[repair.name] for repair in REPAIRS if repair.phase is phase)
        for title, phase in zip(titles, Phase, strict=True)
    ]
    return (head + "".join(body)).rstrip() + "\n"


def with_example(readme: str) -> str:
    """Return README with its "after" made anew from its "before"."""
    head, heading, rest = readme.partition("\n## Before and after\n")
    blocks = rest.split("```\n", 4)
    blocks[3] = readme_after(blocks[1])
    return head + heading + "```\n".join(blocks)


def _settings(fields: Mapping[str, FieldInfo]) -> str:
    return "\n\n".join(_setting(name, info) for name, info in fields.items())


def _setting(name: str, info: FieldInfo) -> str:
    facts = [f"flag `{flag_name(name)}`", f"environment `{ENV_PREFIX}{name.upper()}`", f"file `{name}`"]
    facts.append("required" if info.default is PydanticUndefined else f"default {_default(info.default)}")
    choices = _choices(info.annotation)
    if choices:
        facts.append("one of " + ", ".join(f"`{choice}`" for choice in choices))
    return f"### {name}\n\n{' · '.join(facts)}\n\n{info.description}"


def _default(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case ():
            return "empty"
        case StrEnum():
            return f"`{value.value}`"
        case _:
            return f"`{value}`"


def _choices(annotation: Any) -> list[str]:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return [member.value for member in kind]
    return []


def _metric_row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels: dict[str, list[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le" and value not in labels.setdefault(label, []):
                labels[label].append(value)
    shown = "; ".join(f"`{label}`: {_values(label, values)}" for label, values in labels.items())
    return f"| `{name}` | {family.type} | {shown} | {family.documentation} |"


def _values(label: str, values: Iterable[str]) -> str:
    match label:
        case "repair":
            return "every [repair](repairs.md)"
        case "ending":
            return "every [ending](operations.md#how-streams-end)"
        case "version" | "python" | "implementation" | "core":
            return "as it runs"
        case _:
            return ", ".join(values)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.support.documentation --write")
    write()
