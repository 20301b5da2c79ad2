"""The results of `make bench-peers` to words: a part of docs/benchmarks.md, made from bench/peers.json and nothing else.

python -m bench.peers_report         writes it again without measuring
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from bench.measure import PROXY
from bench.report import (
    DOCUMENT,
    ROOT,
    Results,
    added,
    figure,
    kib_per_stream,
    milliseconds,
    provenance,
    ratio,
    released,
    show,
    table,
    typical,
)
from bench.streams import FATES

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULTS: Final = ROOT / "bench" / "peers.json"

_BEGIN: Final = "<!-- made by `make bench-peers` -->"
_END: Final = "<!-- end: made by `make bench-peers` -->"
_NGINX: Final = "nginx"
RULES_SHOWN: Final = 5


def tables(results: Results) -> str:
    """Return everything, as Markdown."""
    measured = {part: results[part] for part in ("memory", "loads", "streams")}
    sections = [
        provenance(measured),
        "### What each does to streams\n\n" + _streams(results["streams"]),
        "### What each costs\n\n" + "\n\n".join((_bursts(results), _live(results), _idle(results["memory"]))),
    ]
    return "\n\n".join(sections)


def _streams(part: dict[str, Any]) -> str:
    sent, received = part["sent"], part["received"]
    rules = ", ".join(
        f"`{rule}` in {count}" for rule, count in list(sent["ended"]["rules"].items())[:RULES_SHOWN]
    )
    introductions = {
        "ended": f"{sent['ended']['count']} streams that vLLM ended with a terminal event. {sent['ended']['faultless']} of "
        f"them break no rule as they were sent. Broken most often: {rules}.",
        "cut": f"{sent['cut']['count']} streams that vLLM broke off.",
    }
    texts, met = [], set()
    for end, introduction in introductions.items():
        found = list(_manners(received, end))
        fates = [fate for fate in FATES if any(fate in sums["fates"] for _, sums in found)]
        rows = [
            (
                name,
                *(str(sums["fates"].get(fate, "–")) for fate in fates),
                str(sums["faultless"]),
                str(sums["words_lost"] or "–"),
            )
            for name, sums in found
        ]
        texts += [introduction, table(("through", *fates, "break no rule", "words are lost in"), rows)]
        errors = [
            f"- {name}: " + ", ".join(f"“{message}” ({count})" for message, count in sums["errors"].items())
            for name, sums in found
            if sums.get("errors")
        ]
        if errors:
            texts.append("The errors:\n\n" + "\n".join(errors))
        met |= set(fates)
    legend = "; ".join(f"*{fate}*: {meaning}" for fate, meaning in FATES.items() if fate in met)
    return "\n\n".join([f"What became of a stream: {legend}.", *texts, _synthetic(received)])


def _manners(received: dict[str, Any], end: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield what became of recorded streams by name; of stored ones too, where that makes a difference."""
    for name, one in received.items():
        yield name, one["plain"][end]
        if "storing" in one:
            yield f"{name}, storing", one["storing"][end]


def _synthetic(received: dict[str, Any]) -> str:
    titles = ("a message, conforming", "reasoning and a message, conforming", "the same, broken")
    rows = [(name, *map(_outcome, one["synthetic"].values())) for name, one in received.items()]
    return "Of the rig's own streams:\n\n" + table(("through", *titles), rows)


def _outcome(described: dict[str, Any]) -> str:
    text = str(described["fate"])
    if described["came"] < described["sent"]:
        text += f" after {described['came']} of {described['sent']} events"
    return f"{text} (“{described['error']}”)" if described.get("error") else text


def _names(results: Results, load: str) -> list[str]:
    runs: dict[str, Any] = results["loads"]["runs"].get(load, {})
    return [name for name in results["streams"]["received"] if name in runs]


def breaks_off(results: Results, load: str, name: str) -> bool:
    """Return whether not all streams of a load came to their end."""
    figures = figure(results, load, name)
    return figures is None or bool(figures.get("breaks_off"))


def _bursts(results: Results) -> str:
    rows = []
    for name in _names(results, "burst"):
        broken: tuple[str, ...] = ("breaks off", "–", "–")
        if not breaks_off(results, "broken", name):
            broken = (
                show(typical(results, "broken", name, "cpu_us")),
                show(ratio(results, "broken", name, _NGINX, "cpu_us"), 1),
                show(ratio(results, "broken", name, PROXY, "cpu_us")),
            )
        rows.append(
            (
                name,
                show(typical(results, "burst", name, "rate"), 0),
                show(typical(results, "burst", name, "cpu_us")),
                show(ratio(results, "burst", name, _NGINX, "cpu_us"), 1),
                show(ratio(results, "burst", name, PROXY, "cpu_us")),
                *broken,
            )
        )
    header = ("who", "events/s", "CPU µs per event", "× nginx", f"× {PROXY}")
    return "Bursts of 200 deltas, conforming and broken:\n\n" + table(
        (*header, "broken: CPU µs per event", "× nginx", f"× {PROXY}"), rows
    )


def _live(results: Results) -> str:
    texts = []
    for load, title in (
        (
            "light",
            "10 streams, 40 events/s each, a new connection for each. Latency is what is added to none:",
        ),
        ("paced", "100 streams, 50 events/s each:"),
    ):
        rows = []
        for name in _names(results, load):
            latency = [added(results, load, name, "latency_us", q) for q in ("p50", "p99")]
            first = added(results, load, name, "first_us", "p50")
            rows.append(
                (
                    name,
                    show(typical(results, load, name, "rate"), 0),
                    show(typical(results, load, name, "cpu_us"), 1),
                    show(ratio(results, load, name, _NGINX, "cpu_us"), 1),
                    show(ratio(results, load, name, PROXY, "cpu_us")),
                    *(show(milliseconds(value)) for value in (*latency, first)),
                )
            )
        header = ("who", "events/s", "CPU µs per event", "× nginx", f"× {PROXY}", "latency added, p50 ms")
        texts += [title, table((*header, "p99 ms", "first event later by, p50 ms"), rows)]
    return "\n\n".join(texts)


def _idle(part: dict[str, Any]) -> str:
    rows = []
    for name, idle in part["idle"].items():
        sizes = [
            show(run["mib"], 1) + (f" ({run['open']} open)" if run["open"] < int(streams) else "")
            for streams, run in idle.items()
        ]
        after = "yes" if part["answers_after"][name] else "**no**"
        times = (released(run["released_s"]) for run in idle.values())
        rows.append((name, *sizes, show(kib_per_stream(idle), 1), *times, after))
    numbers = list(next(iter(part["idle"].values()), {}))
    memory = (f"MiB, {streams} open" for streams in numbers)
    times = (f"upstream released after {streams} left" for streams in numbers)
    header = ("who", *memory, "KiB per stream", *times, "answers afterwards")
    return "Idle streams, whose clients then leave:\n\n" + table(header, rows)


def document(text: str, results: Results) -> str:
    """Return docs/benchmarks.md with this part made again."""
    part = f"{_BEGIN}\n\n{tables(results)}\n\n{_END}"
    return re.sub(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", lambda _: part, text, flags=re.DOTALL)


def write(results: Results) -> None:
    """Write docs/benchmarks.md."""
    DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    write(json.loads(RESULTS.read_text("utf-8")))
