"""The tables of docs/compatibility.md: which defects a release of vLLM has, and which clients fail on them.

Made from the catalogue of defects and from the kept results of `make clients`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from tests.labs.clients.installation import CLIENTS
from tests.labs.clients.judge import Outcome
from tests.labs.clients.run import read_results
from tests.labs.clients.scenarios import rows
from tests.labs.clients.suites import SUITES
from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.families.responses.defects import DEFECTS
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.labs.clients.judge import Outcomes
    from vllm_sse_proxy.stream.correction import Correction

FIRST = 10
"""Minor number of the first release that streams `/v1/responses`."""
NEWEST = 33
"""Minor number of the newest release of which the catalogue says what is open."""
_ORDER = list(Outcome)


def releases_of(text: str) -> range | tuple[int, ...]:
    """Return the minor numbers of the releases that an entry of the catalogue names; none for forks and gateways."""
    minors = tuple(int(minor) for minor in re.findall(r"\b0\.(\d+)", text))
    if text.startswith("all"):
        return range(FIRST, NEWEST + 1)
    if not minors or "fork" in text:
        return ()
    if text.startswith("to "):
        return range(FIRST, minors[0] + 1)
    if "open" in text:
        return range(minors[0], NEWEST + 1)
    return range(minors[0], minors[-1] + 1) if " to " in text else minors


@cache
def _outcomes(client: str) -> dict[str, tuple[Outcome, Outcome]]:
    """Return, for every defect that a client was run against, its worst outcomes before and after the proxy."""
    results = read_results()
    outcomes = results[client].outcomes if client in results else {}
    known: dict[str, tuple[Outcome, Outcome]] = {}
    for row, ids, _ in rows():
        both = [one for name, one in outcomes.items() if name.partition("/")[0] == row]
        for id_ in re.findall(r"[RFP]\d+", ids) if both else ():
            before, after = known.get(id_, (Outcome.SAME, Outcome.SAME))
            known[id_] = (
                min((before, *(one.before for one in both)), key=_ORDER.index),
                min((after, *(one.after for one in both)), key=_ORDER.index),
            )
    return known


def affected() -> dict[str, dict[str, list[str]]]:
    """Return family → repair → the clients that fail on its golden without the proxy; only repairs whose golden was run."""
    made: dict[str, dict[str, list[str]]] = {}
    for family in FAMILIES:
        suite = SUITES.get(family.name)
        if suite is not None:
            results = read_results(suite)
            run = {
                client.title: results[client.name].outcomes
                for client in suite.clients
                if client.name in results
            }
            made[family.name] = {
                repair.name: [title for title, outcomes in run.items() if _fails(outcomes, repair)]
                for repair in corrections_of(family)
                if run and all(f"recorded/{repair.name}" in outcomes for outcomes in run.values())
            }
    return made


def _fails(outcomes: Mapping[str, Outcomes], repair: Correction) -> bool:
    """Return whether a client fails on the golden of a repair."""
    return outcomes[f"recorded/{repair.name}"].before is not Outcome.SAME


def breakage_table() -> str:
    """Return every defect in words, the newest release that has it first, with the repairs that correct it."""
    rows = []
    for id_, defect in DEFECTS.items():
        minors = releases_of(defect.releases)
        repairs = [repair.name for repair in corrections_of(RESPONSES) if id_ in repair.fixes]
        if minors and id_.startswith("R") and repairs:
            rows.append((minors[-1], minors[0], defect.what, repairs))
    lines = ["| until | since | what breaks | what repairs it |", "|---|---|---|---|"]
    for last, first, what, repairs in sorted(rows, key=lambda row: (-row[0], row[1], row[2])):
        until = "open" if last == NEWEST else f"0.{last}"
        named = " ".join(f"[`{name}`](repairs.md#{name})" for name in repairs)
        lines.append(f"| {until} | 0.{first} | {what} | {named} |")
    return "\n".join(lines)


def release_table() -> str:
    """Return, for every release, how many defects it has, and on how many of them each client fails before and after."""
    head = ["vLLM", "defects", *(client.title for client in CLIENTS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for minor in range(FIRST, NEWEST + 1):
        ids = [
            id_
            for id_, defect in DEFECTS.items()
            if id_.startswith("R") and minor in releases_of(defect.releases)
        ]
        cells = [_failures(client.name, ids) for client in CLIENTS]
        lines.append(f"| 0.{minor} | {len(ids)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _failures(client: str, ids: list[str]) -> str:
    known = [both for id_, both in _outcomes(client).items() if id_ in ids]
    before = sum(one is not Outcome.SAME for one, _ in known)
    after = sum(other is not Outcome.SAME for _, other in known)
    return f"{before} → {after}"


def breakage_list() -> str:
    """Return, for every client, on which defects it fails without the proxy, and how."""
    lines = []
    for client in CLIENTS:
        lines.append(f"- **{client.title}**")
        for outcome in Outcome:
            ids = sorted(id_ for id_, (before, _) in _outcomes(client.name).items() if before is outcome)
            if ids and outcome is not Outcome.SAME:
                lines.append(f"  - {outcome.meaning}: {', '.join(ids)}")
    return "\n".join(lines)
