"""The parts of README.md and docs/ that are made from the code, and from the results of the laboratories.

Each stands between two marker lines. `make docs` writes them again; `tests/test_docs.py` fails when one is out of step.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tests.labs.clients.loops import loop_table
from tests.labs.clients.releases import affected, breakage_list, breakage_table, release_table
from tests.labs.clients.suites import CHAT as CHAT_CLIENTS
from tests.labs.clients.suites import MESSAGES as MESSAGES_CLIENTS
from tests.labs.clients.table import client_table, explanation_list, letter_table, page_table, scenario_table
from tests.labs.conformance import table as conformance
from tests.labs.faults import table as reliability
from tests.labs.live import table as live
from vllm_sse_proxy import BodyEnd, Ending, StreamNormalizer, build_plan
from vllm_sse_proxy.advice import ADVICE
from vllm_sse_proxy.config import ENV_PREFIX
from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.families.messages.requests import MISREAD as MISREAD_MESSAGES
from vllm_sse_proxy.families.responses.defects import DEFECTS
from vllm_sse_proxy.families.responses.requests import MISREAD
from vllm_sse_proxy.metrics import PREFIX, Metrics
from vllm_sse_proxy.settings import CoreSettings, ServerSettings, flag_name, settings_of
from vllm_sse_proxy.stream.correction import Station
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import Metric

    from vllm_sse_proxy.settings import Setting

CORRECTIONS = corrections_of(RESPONSES)

ROOT = Path(__file__).parents[1]


def repair_table() -> str:
    """Return the repairs, in the order in which they are applied."""
    rows = (
        f"| [`{repair.name}`](#{repair.name}) | {repair.summary} | {', '.join(repair.fixes)} |"
        for repair in CORRECTIONS
    )
    return "\n".join(("| repair | what it does | defects |", "|---|---|---|", *rows))


REPAIRED: dict[str, tuple[str, str]] = {
    "responses": (
        "docs/repairs.md",
        "shapes, ids and numbers of events; missing openings and closings; calls that came as text; the final object",
    ),
    "chat": (
        "docs/repairs-chat.md",
        "missing ends; cut, doubled, nameless and leaked calls; finish reasons; names of reasoning; errors; usage",
    ),
    "completions": ("docs/repairs-chat.md", "missing ends; errors; finish reasons; offsets of tokens; usage"),
    "messages": (
        "docs/repairs-messages.md",
        "beginnings, blocks and ends as Anthropic has them; signatures; cut calls; stop reasons; errors",
    ),
    "transcriptions": (
        "docs/repairs-chat.md",
        "missing ends; errors; on request OpenAI's events instead of vLLM's chunks",
    ),
}
"""Family → the document about its repairs, and what they are about, for README."""


def family_table() -> str:
    """Return the families with their paths and what is repaired in each."""
    rows = []
    for family in FAMILIES:
        paths = " ".join(f"`{path}`" for path in dict.fromkeys(one.path for one in family.endpoints))
        document, what = REPAIRED[family.name]
        number = len(corrections_of(family))
        rows.append(f"| {family.name} | {paths} | {what} | [{number} repairs]({document}) |")
    return "\n".join(("| family | paths | what is repaired | |", "|---|---|---|---|", *rows))


_COSTS = {
    "latency added per live event, p50": "latency added to an event, median",
    "latency added per live event, p99": "the same, worst of a hundred",
    "time to first event, added": "latency added to the first event",
    "CPU per live event, × nginx": "processor time of an event, as a multiple of nginx's",
    "memory per open idle stream": "memory of an open stream",
}
"""Row of the targets in docs/benchmarks.md → what README calls it."""


def cost_table() -> str:
    """Return five of the measured costs, as docs/benchmarks.md has them."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|",
        (ROOT / "docs/benchmarks.md").read_text("utf-8"),
        re.MULTILINE,
    )
    known = dict(rows)
    return "\n".join(("| | |", "|---|---|", *(f"| {name} | {known[row]} |" for row, name in _COSTS.items())))


def needed_list() -> str:
    """Return the repairs that cannot be switched off, with the reason."""
    return "\n".join(
        f"- [`{repair.name}`](#{repair.name}): {repair.needed}." for repair in CORRECTIONS if repair.needed
    )


def misread_table(misread: Mapping[str, str] = MISREAD) -> str:
    """Return what vLLM misreads in requests that it accepts."""
    rows = (f"| `{name}` | {what} |" for name, what in misread.items())
    return "\n".join(("| what | what becomes of it |", "|---|---|", *rows))


def captured_messages_table() -> str:
    """Return how many captured requests of messages each server accepts, as they come and through the proxy."""
    results: dict[str, dict[str, int]] = json.loads(
        (ROOT / "tests/requests/messages-results.json").read_text("utf-8")
    )
    servers = [name for name in next(iter(results.values())) if not name.endswith(" repaired")]
    lines = [
        "| accepted as they come → through the proxy | " + " | ".join(servers) + " |",
        "|---|" + "---|" * len(servers),
    ]
    for client in dict.fromkeys(name.partition("/")[0] for name in results):
        own = [statuses for name, statuses in results.items() if name.partition("/")[0] == client]
        cells = [
            " → ".join(
                str(sum(one.get(side) == HTTPStatus.OK for one in own)) for side in (name, f"{name} repaired")
            )
            + f" of {sum(name in one for one in own)}"
            for name in servers
        ]
        lines.append(f"| {client} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def captured_table() -> str:
    """Return how many of the captured requests of each client each server accepts as they come."""
    results: dict[str, dict[str, object]] = json.loads(
        (ROOT / "tests/requests/results.json").read_text("utf-8")
    )
    servers = list(next(iter(results.values())))
    rows = []
    for client in dict.fromkeys(name.partition("/")[0] for name in results):
        own = [statuses for name, statuses in results.items() if name.partition("/")[0] == client]
        seen = [[statuses[server] for statuses in own if server in statuses] for server in servers]
        rows.append([client, *(f"{statuses.count(200)} of {len(statuses)}" for statuses in seen)])
    lines = [["client", *servers], ["---"] * (len(servers) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def core_settings() -> str:
    """Return the settings that `serve`, `repair` and `check` share."""
    return _settings(settings_of(CoreSettings))


def server_settings() -> str:
    """Return the settings of `serve` alone."""
    own = {
        name: info
        for name, info in settings_of(ServerSettings).items()
        if name not in settings_of(CoreSettings)
    }
    return _settings(own)


def metric_table() -> str:
    """Return every metric of ours with its labels and their values."""
    rows = [_metric_row(family) for family in Metrics().registry.collect() if family.name.startswith(PREFIX)]
    return "\n".join(("| metric | type | labels | meaning |", "|---|---|---|---|", *rows))


def ending_table() -> str:
    """Return the ways a stream ends."""
    rows = (
        f"| `{ending.value}` | {ending.meaning} | {ADVICE[ending].fault} | {ADVICE[ending].remedy} |"
        for ending in Ending
    )
    return "\n".join(("| ending | meaning | whose fault | what to do |", "|---|---|---|---|", *rows))


def defect_table() -> str:
    """Return the catalogue, with the repairs that name each defect."""
    rows = []
    for id_, defect in DEFECTS.items():
        repairs = [
            f"[`{repair.name}`](repairs.md#{repair.name})" for repair in CORRECTIONS if id_ in repair.fixes
        ]
        rows.append(f"| {id_} | {defect.what} | {defect.releases} | {' '.join(repairs)} |")
    return "\n".join(("| id | what | releases | repairs |", "|---|---|---|---|", *rows))


def tree() -> str:
    """Return all modules of the product, folder by folder, each with the first sentence of its docstring."""
    package = ROOT / "proxy" / "vllm_sse_proxy"
    folders = sorted({path.parent for path in package.rglob("*.py")})
    return "\n\n".join(_folder(folder, package) for folder in folders)


def _folder(folder: Path, package: Path) -> str:
    name = f"{folder.relative_to(package)}/" if folder != package else f"{package.name}/"
    rows = [f"| `{path.name}` | {_first_sentence(path)} |" for path in sorted(folder.glob("*.py"))]
    return "\n".join((f"| `{name}` | |", "|---|---|", *rows))


def _first_sentence(path: Path) -> str:
    head = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n\n")[0]
    sentence = re.split(r"\.(?:\s|$)", head, maxsplit=1)[0]
    return re.sub(r":[a-z]+:`~?[\w.]*?(\w+)`", r"`\1`", " ".join(sentence.split())).replace("``", "`")


PAGES: dict[str, tuple[str, ...]] = {
    "agents-sdk": ("agents",),
    "ai-sdk": ("ai-sdk-openai", "ai-sdk-open-responses", "ai-sdk-compatible", "ai-sdk-anthropic"),
    "codex": ("codex",),
    "langchain": ("langchain", "langchain-anthropic"),
    "litellm": ("litellm", "litellm-anthropic"),
    "llama-index": ("llama-index",),
    "openai-python": ("openai-python", "openai-python-stream", "openai-node", "openai-node-stream"),
    "opencode": ("opencode",),
    "pydantic-ai": ("pydantic-ai",),
    "semantic-kernel": ("semantic-kernel",),
}
"""The pages of docs/clients, and the clients of the laboratory that each is about."""

PARTS: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "families"): family_table,
    ("README.md", "costs"): cost_table,
    ("docs/repairs.md", "repairs"): repair_table,
    ("docs/architecture.md", "tree"): tree,
    ("docs/compatibility.md", "releases"): release_table,
    ("docs/compatibility.md", "breakages"): breakage_table,
    ("docs/compatibility.md", "client failures"): breakage_list,
    ("docs/compatibility-matrix.md", "defects"): defect_table,
    ("docs/compatibility-matrix.md", "clients"): client_table,
    ("docs/compatibility-matrix.md", "signs"): letter_table,
    ("docs/compatibility-matrix.md", "streams"): scenario_table,
    ("docs/compatibility-matrix.md", "explanations"): explanation_list,
    ("docs/compatibility-matrix.md", "suites"): conformance.suite_table,
    ("docs/compatibility-matrix.md", "recorded servers"): conformance.server_table,
    ("docs/compatibility-matrix.md", "failing checks"): conformance.explanation_list,
    ("docs/compatibility-matrix.md", "live runs"): live.run_table,
    ("docs/compatibility-matrix.md", "live scenarios"): live.row_table,
    ("docs/compatibility-matrix.md", "live faults"): live.fault_table,
    ("docs/compatibility-matrix.md", "live clients"): live.client_table,
    ("docs/compatibility-matrix.md", "live explanations"): live.explanation_list,
    ("docs/claude-code.md", "claude code"): live.claude_code_table,
    ("docs/claude-code.md", "broken streams"): partial(page_table, "claude-code"),
    ("docs/clients-chat.md", "chat clients"): partial(client_table, CHAT_CLIENTS),
    ("docs/clients-chat.md", "chat streams"): partial(scenario_table, CHAT_CLIENTS),
    ("docs/clients-chat.md", "chat explanations"): partial(explanation_list, CHAT_CLIENTS),
    ("docs/clients-chat.md", "messages clients"): partial(client_table, MESSAGES_CLIENTS),
    ("docs/clients-chat.md", "messages streams"): partial(scenario_table, MESSAGES_CLIENTS),
    ("docs/clients-chat.md", "messages explanations"): partial(explanation_list, MESSAGES_CLIENTS),
    ("docs/configuration.md", "core settings"): core_settings,
    ("docs/configuration.md", "server settings"): server_settings,
    ("docs/metrics.md", "metrics"): metric_table,
    ("docs/operations.md", "endings"): ending_table,
    ("docs/repairs.md", "needed repairs"): needed_list,
    ("docs/requests.md", "misread"): misread_table,
    ("docs/requests-messages.md", "misread messages"): partial(misread_table, MISREAD_MESSAGES),
    ("docs/requests-messages.md", "captured messages"): captured_messages_table,
    ("docs/clients/README.md", "captured"): captured_table,
    ("docs/clients/opencode.md", "requests"): loop_table,
    **{
        (f"docs/clients/{page}.md", "broken streams"): partial(page_table, *names)
        for page, names in PAGES.items()
    },
    ("docs/reliability.md", "upstream faults"): reliability.upstream_table,
    ("docs/reliability.md", "clients that leave"): reliability.leaving_table,
    ("docs/reliability.md", "other clients"): reliability.client_table,
    ("docs/reliability.md", "hostile bytes"): reliability.bytes_table,
    ("docs/reliability.md", "rolling restart"): reliability.restart_table,
    ("docs/reliability.md", "smuggling"): reliability.smuggling_table,
    ("docs/reliability.md", "soak"): reliability.soak_table,
}


AFFECTED = ROOT / "proxy" / "vllm_sse_proxy" / "probe" / "clients.json"


def affected_clients() -> str:
    """Return what `probe` knows of clients, as JSON: family, repair, and those that fail without it, from `make clients`."""
    return json.dumps(affected(), indent=1, ensure_ascii=False) + "\n"


def with_part(text: str, name: str, part: str) -> str:
    """Return `text` with `part` between the markers of `name`."""
    begin, end = f"<!-- made by `make docs`: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the markers of {name!r} are not there once")
    return pattern.sub(lambda _: f"{begin}\n{part}\n{end}", text)


_SHOWN = (
    "response.reasoning_text.delta",
    "response.output_text.delta",
    "response.output_item.done",
    "response.completed",
)
"""Types of the events that README shows of what the proxy makes of its example."""
_LEFT_OUT = frozenset({"output_index", "content_index", "item_id", "logprobs", "response_id"})
"""Members that it does not show."""


def readme_after(before: str) -> str:
    """Return what the core makes of README's example, as README shows it: a few events, and of them what is to be seen."""
    normalizer = StreamNormalizer(build_plan(strict=True))
    made = normalizer.feed(before.replace("\n", "\n\n").encode()) + normalizer.finish(BodyEnd.EOF)
    lines = [line.removeprefix("data: ") for line in made.decode().splitlines() if line.startswith("data: {")]
    shown = [_shortened(json.loads(line)) for line in lines]
    return "".join(f"data: {line}\n" for line in shown if line)


def _shortened(event: dict[str, Any]) -> str:
    """Return an event as README shows it; empty if it does not."""
    if event["type"] not in _SHOWN or event.get("item", {}).get("type") == "reasoning":
        return ""
    shown = {name: value for name, value in event.items() if name not in _LEFT_OUT}
    for name in {"response", "item"} & shown.keys():
        shown[name] = {"status": shown[name]["status"], "…": 0} if "status" in shown[name] else {"…": 0}
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False).replace('"…":0', "…")


def write() -> None:
    """Write every part again."""
    for (document, name), make in PARTS.items():
        path = ROOT / document
        path.write_text(with_part(path.read_text("utf-8"), name, make()), "utf-8")
    AFFECTED.write_text(affected_clients(), "utf-8")
    repairs = ROOT / "docs" / "repairs.md"
    repairs.write_text(in_order(repairs.read_text("utf-8")), "utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_example(readme.read_text("utf-8")), "utf-8")


def in_order(document: str) -> str:
    """Return docs/repairs.md with its entries in the order of `CORRECTIONS`, each in the section of its station.

    Raises:
        KeyError: a repair has no entry yet.
    """
    head, *sections = re.split(r"^(?=## )", document, flags=re.MULTILINE)
    entries = {}
    for section in sections:
        _, *parts = re.split(r"^(?=### )", section, flags=re.MULTILINE)
        entries.update(
            {part.split("\n", 1)[0].removeprefix("### "): part.rstrip() + "\n\n" for part in parts}
        )
    body = [
        f"## {station.value}\n\n"
        + "".join(entries[repair.name] for repair in CORRECTIONS if repair.station is station)
        for station in Station
    ]
    return (head + "".join(body)).rstrip() + "\n"


def with_example(readme: str) -> str:
    """Return README with its "after" made anew from its "before"."""
    head, heading, rest = readme.partition("\n## Before and after\n")
    blocks = rest.split("```\n", 4)
    blocks[3] = readme_after(blocks[1])
    return head + heading + "```\n".join(blocks)


def _settings(fields: Mapping[str, Setting]) -> str:
    return "\n\n".join(_setting(name, info) for name, info in fields.items())


def _setting(name: str, info: Setting) -> str:
    facts = [f"flag `{flag_name(name)}`", f"environment `{ENV_PREFIX}{name.upper()}`", f"file `{name}`"]
    facts.append("required" if info.is_required else f"default {_default(info.default)}")
    choices = _choices(info.kind)
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
    shown = "; ".join(f"`{label}`: {_values(name, label, values)}" for label, values in labels.items())
    return f"| `{name}` | {family.type} | {shown} | {family.documentation} |"


def _values(name: str, label: str, values: Iterable[str]) -> str:
    match label:
        case "repair" if "request" in name:
            return "every [request repair](requests.md)"
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
        sys.exit("usage: python -m docs.generate --write")
    write()
