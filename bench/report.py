"""Results to words: docs/performance.md, docs/benchmarks.md and their plots, made from bench/results.json and nothing else.

python -m bench.report         writes them again without measuring
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import machine
from bench.measure import DIRECT, HAPROXY, LOADS, NGINX, PASSTHROUGH, PROXY
from bench.plot import Axis, chart
from bench.recordings import KINDS, LIVE_MS, RECORDED, worst

if TYPE_CHECKING:
    from collections.abc import Iterable

Run = dict[str, Any]
Results = dict[str, Any]

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "bench" / "results.json"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
"""Everything that was measured."""
FOR_USERS: Final = ROOT / "docs" / "performance.md"
"""Ten numbers and a plot."""

ORDER: Final = (DIRECT, NGINX, HAPROXY, PASSTHROUGH, PROXY)
NOT_MEASURED: Final = "not measured"

_THOUSANDS: Final = 1000
"""From here on, digits behind the point say nothing."""

_BEGIN: Final = "<!-- made by `make bench` -->"
_END: Final = "<!-- end: made by `make bench` -->"


# ------------------------------------------------------------------------------------------------ quantities


def figure(results: Results, load: str, name: str, *path: str) -> Any:
    """Return what is kept of a contender under a load (`summary.of_loads` says what); None where it was not measured."""
    for part in ("loads", "stress"):
        runs = results.get(part, {}).get("runs", {})
        if load in runs:
            found = runs[load].get(name)
            for key in path:
                found = None if found is None else found.get(key)
            return found
    return None


def typical(results: Results, load: str, name: str, *quantity: str) -> float | None:
    """Return the median over the rounds of a quantity: `rate`, `cpu_us`, or a distribution and its quantile."""
    value: float | None = figure(results, load, name, *quantity)
    return value


def ratio(results: Results, load: str, name: str, to: str, quantity: str) -> float | None:
    """Return the median over the rounds of one contender's quantity as a multiple of another's."""
    if name == to:
        return None if figure(results, load, name, quantity) is None else 1.0
    value: float | None = figure(results, load, name, "to", to, quantity)
    return value


def added(results: Results, load: str, name: str, *quantity: str) -> float | None:
    """Return the median over the rounds of what a contender adds to no proxy at all."""
    value: float | None = figure(results, load, name, "added", *quantity)
    return value


# ---------------------------------------------------------------------------------------------------- tables


def tables(results: Results) -> str:
    """Return everything that stands in numbers, as Markdown."""
    sections = [
        provenance(results),
        "### Targets\n\n" + _targets(results),
        "### Loads\n\n" + _loads(results),
        "### Recorded streams\n\n" + _recordings(results),
        "### Live streams\n\n" + _live(results),
        "### Many streams at once\n\n" + _stress(results),
        "### Idle streams\n\n" + _memory(results),
        "### Workers\n\n" + _workers(results),
        "### Layers\n\n" + _layers(results),
    ]
    return "\n\n".join(sections)


def provenance(results: Results) -> str:
    """Return when, on what and with what each part was measured, and what was skipped."""
    runs = {json.dumps(part["about"], sort_keys=True): part["about"] for part in results.values()}
    lines = []
    for about in runs.values():
        parts = ", ".join(name for name, part in results.items() if part["about"] == about)
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        lines.append(
            f"Measured {about['date']} ({parts}): {about['rounds']} rounds, {about['processor']}, {about['cores']} cores, "
            f"Linux {about['kernel']}, {versions}. Load average {about['load_before']} before, {about['load_after']} after."
        )
    lines += sorted({line for part in results.values() for line in part.get("skipped", [])})
    return "\n\n".join(lines)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(header)
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def show(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number with so many digits behind the point; a dash for none."""
    return "–" if value is None or math.isnan(value) else f"{value:,.{digits}f}{unit}"


def _loads(results: Results) -> str:
    rows = []
    for load in (
        "burst",
        "short",
        "clean",
        "burst2000",
        "single",
        "paced",
        "lockstep",
        "json",
        "large",
        "long",
    ):
        for name in ORDER:
            if typical(results, load, name, "rate") is None:
                continue
            rows.append(
                (
                    LOADS[load].title,
                    name,
                    show(typical(results, load, name, "rate"), 0),
                    show(ratio(results, load, name, NGINX, "rate")),
                    show(typical(results, load, name, "cpu_us")),
                    show(ratio(results, load, name, NGINX, "cpu_us"), 1),
                    show(ratio(results, load, name, PASSTHROUGH, "cpu_us")),
                )
            )
    header = ("load", "who", "events/s", "× nginx", "CPU µs per event", "× nginx", "× pass-through")
    return table(header, rows)


def _recordings(results: Results) -> str:
    """Return what recorded streams cost, flat out and live."""
    runs = results.get("recordings", {}).get("runs")
    if not runs:
        return NOT_MEASURED
    rows = []
    for name, one in RECORDED.items():
        row = [one.what, f"`{one.file}`"]
        for kind in KINDS:
            found = runs.get(f"{kind}-{name}", {}).get(PROXY, {})
            to = found.get("to", {})
            row.append(show(found.get("cpu_us"), 1))
            row += [show(to.get(other, {}).get("cpu_us"), 1) for other in (NGINX, PASSTHROUGH)]
        rows.append(row)
    header = ["vLLM", "recording"]
    for kind in KINDS:
        header += [f"{kind}: CPU µs per event", "× nginx", "× pass-through"]
    return (
        "Each is a stream that vLLM sent, given again by upstream byte for byte: at once (burst), and an event every "
        f"{LIVE_MS} ms (live). They are short, so that a good part of an event's cost is what its stream costs once.\n\n"
        + table(header, rows)
    )


def _live(results: Results) -> str:
    rows = []
    for load in ("light", "paced", "lockstep"):
        for name in ORDER:
            latency = [
                show(milliseconds(typical(results, load, name, "latency_us", q))) for q in ("p50", "p99")
            ]
            first = show(milliseconds(typical(results, load, name, "first_us", "p50")))
            if latency[0] != "–":
                rows.append((LOADS[load].title, name, *latency, first))
    return (
        table(("load", "who", "latency p50 ms", "p99 ms", "time to first event p50 ms"), rows)
        + "\n\n"
        + _lag_table(results)
    )


def _lag_table(results: Results) -> str:
    rows = []
    for load in ("paced", "lockstep", "crowd", "rush"):
        total: dict[str, float] = figure(results, load, PROXY, "lag") or {}
        samples = total.get("+Inf", 0.0)
        if samples:
            shares = [_bound_of(total, share) for share in (0.5, 0.9, 1.0)]
            rows.append((LOADS[load].title, f"{samples:.0f}", *shares))
    return "The proxy's event loop's lag, by its own samples:\n\n" + table(
        ("load", "samples", "half within", "90 % within", "all within"), rows
    )


def _bound_of(cumulative: dict[str, float], share: float) -> str:
    samples = cumulative["+Inf"]
    bound = next((b for b, count in cumulative.items() if count >= share * samples), "+Inf")
    return "over 5 s" if bound == "+Inf" else f"{float(bound) * 1e3:g} ms"


def _stress(results: Results) -> str:
    rows = []
    for load in ("crowd", "rush"):
        for name in ORDER:
            p99s = [typical(results, load, name, "stream_p99_us", q) for q in ("p50", "max")]
            if typical(results, load, name, "rate") is None:
                continue
            share = [typical(results, load, name, "share", q) for q in ("min", "p50", "max")]
            rows.append(
                (
                    LOADS[load].title,
                    name,
                    show(typical(results, load, name, "rate"), 0),
                    *(show(milliseconds(value), 1) for value in p99s),
                    show(typical(results, load, name, "worst_to_median")),
                    " / ".join(show(value, 0) for value in share),
                )
            )
    header = ("load", "who", "events/s", "stream's p99, median, ms", "the worst stream's", "× median")
    return table((*header, "events of a stream: fewest / median / most"), rows)


def _memory(results: Results) -> str:
    idle: dict[str, dict[str, Run]] = results.get("memory", {}).get("idle", {})
    rows = [
        (
            name,
            *(show(run["mib"], 1) for run in idle[name].values()),
            show(kib_per_stream(idle[name]), 1),
            *(released(run["released_s"]) for run in idle[name].values()),
        )
        for name in ORDER
        if name in idle
    ]
    sizes = [f"{int(streams):,}" for streams in next(iter(idle.values()), {})]
    memory = (f"MiB, {size} open" for size in sizes)
    return table(("who", *memory, "KiB per stream", *(f"{size} released after" for size in sizes)), rows)


def released(seconds: float | None) -> str:
    """Return how soon upstream was released."""
    return "not within 6 s" if seconds is None else f"{seconds * 1e3:.0f} ms"


def kib_per_stream(idle: dict[str, Run]) -> float:
    """Return what each further idle stream takes, in KiB."""
    few, many = idle[min(idle, key=int)], idle[max(idle, key=int)]
    return float((many["mib"] - few["mib"]) * 1024 / max(1, many["open"] - few["open"]))


def _workers(results: Results) -> str:
    workers = results.get("workers", {})
    speeds = workers.get("events_per_s")
    if not speeds:
        return "Not measured: this version has no `--workers`."
    found = table(("workers", "events/s"), [(n, show(value, 0)) for n, value in speeds.items()])
    found += f"\n\nTwo are {workers['speedup']:.2f} × as fast as one."
    if workers.get("about", {}).get("cores", 0) < machine.APART:
        found += " Upstream and load generator share the same cores, so 2.0 cannot be reached."
    return found


def _layers(results: Results) -> str:
    layers = results.get("layers")
    if not layers:
        return NOT_MEASURED
    rows = [(what, show(cost), show(layers["broken"][what])) for what, cost in layers["conforming"].items()]
    releases = [
        (
            protocol,
            release,
            f"{cost['streams']:.0f}",
            show(cost["us"]),
            show(cost["ratio"]),
            show(cost["opening_us"], 0),
            show(cost["between_us"]),
            show(cost["ending_us"], 0),
        )
        for protocol, costs in layers.get("releases", {}).items()
        for release, cost in costs.items()
    ]
    return (
        "Recorded streams of each release, one event a read, beside a bare `orjson.loads` and `orjson.dumps` of every event:"
        "\n\n"
        + table(
            (
                "protocol",
                "vLLM",
                "streams",
                "µs per event",
                "× bare",
                "µs per opening",
                "µs per event between",
                "µs per ending",
            ),
            releases,
        )
        + "\n\nThe layers of a delta:\n\n"
        + table(("layer", "µs per conforming delta", "µs per broken delta"), rows)
    )


def milliseconds(microseconds: float | None) -> float | None:
    """Return microseconds as milliseconds."""
    return None if microseconds is None else microseconds / 1e3


# --------------------------------------------------------------------------------------------------- targets


def targets(results: Results) -> list[tuple[str, float | None, float | None, float | None, str]]:
    """Return each target: what, the value, what it must be at most, what we are after, the unit. Negative: at least."""
    idle = results.get("memory", {}).get("idle", {}).get(PROXY)
    released = idle["1"]["released_s"] if idle else math.nan
    curves = results.get("curves", {})
    return [
        (
            "CPU per event, bursts, × pass-through",
            ratio(results, "burst", PROXY, PASSTHROUGH, "cpu_us"),
            2.0,
            1.5,
            "",
        ),
        _worst(results, "CPU per event, bursts, × pass-through", "burst", PASSTHROUGH, 2.0, 1.5),
        ("CPU per live event, × nginx", ratio(results, "paced", PROXY, NGINX, "cpu_us"), 2.5, 1.7, ""),
        _worst(results, "CPU per live event, × nginx", "live", NGINX, 2.5, 1.7),
        (
            "CPU of a stream of 10 deltas, × pass-through",
            ratio(results, "short", PROXY, PASSTHROUGH, "cpu_us"),
            2.2,
            1.5,
            "",
        ),
        (
            "latency added per live event, p50",
            milliseconds(added(results, "paced", PROXY, "latency_us", "p50")),
            0.15,
            0.1,
            " ms",
        ),
        (
            "latency added per live event, p99",
            milliseconds(added(results, "paced", PROXY, "latency_us", "p99")),
            1.0,
            0.6,
            " ms",
        ),
        (
            "time to first event, added",
            milliseconds(added(results, "light", PROXY, "first_us", "p50")),
            0.7,
            0.4,
            " ms",
        ),
        ("memory of the process", idle["1"]["mib"] if idle else None, 38.0, 35.0, " MiB"),
        ("memory per open idle stream", kib_per_stream(idle) if idle else None, 30.0, 25.0, " KiB"),
        (
            "upstream released after a client left",
            None if idle is None else math.inf if released is None else released * 1e3,
            100.0,
            20.0,
            " ms",
        ),
        ("two workers, × one", results.get("workers", {}).get("speedup"), -1.8, -1.9, ""),
        (
            "cost per event of 100,000 deltas, × of 2,000",
            _growth(curves.get("by_length")),
            None,
            1.1,
            "",
        ),
        (
            "cost per event beside 2,000 idle streams, × beside none",
            _growth(curves.get("by_open_streams")),
            None,
            1.1,
            "",
        ),
        (
            "2,000 streams: worst p99, × the median stream's",
            typical(results, "crowd", PROXY, "worst_to_median"),
            3.0,
            None,
            "",
        ),
        ("short JSON answers per CPU second, × pass-through", _json(results), -0.85, -0.95, ""),
    ]


def _worst(
    results: Results, what: str, kind: str, to: str, must: float, after: float
) -> tuple[str, float | None, float, float, str]:
    """Return the target of all recorded streams; it names the one that is farthest from it."""
    found = worst(results, kind, to)
    which = "" if found is None else f", here {found[0]}"
    return (
        f"{what}, every recorded stream{which}",
        None if found is None else found[1],
        must,
        after,
        "",
    )


def _json(results: Results) -> float | None:
    cost = ratio(results, "json", PROXY, PASSTHROUGH, "cpu_us")
    return None if cost is None else 1 / cost


def _growth(curve: dict[str, dict[str, Any]] | None) -> float | None:
    return curve.get(PROXY, {}).get("growth") if curve else None


def _targets(results: Results) -> str:
    rows = []
    for what, value, must, after, unit in targets(results):
        verdicts = [_verdict(value, limit, unit) for limit in (must, after)]
        digits = 0 if value is not None and abs(value) >= _THOUSANDS else 2
        rows.append((what, show(value, digits, unit), *verdicts))
    return table(("quantity", "now", "must", "aim"), rows)


def _verdict(value: float | None, limit: float | None, unit: str) -> str:
    if limit is None:
        return "–"
    text = f"≥ {-limit:g}{unit}" if limit < 0 else f"≤ {limit:g}{unit}"
    if value is None:
        return f"{text}: {NOT_MEASURED}"
    return f"{text}: {'met' if (value >= -limit if limit < 0 else value <= limit) else '**not met**'}"


# ----------------------------------------------------------------------------------------------- ten numbers


def _numbers(results: Results) -> str:
    """Return the ten numbers that somebody wants to know who may run the proxy."""
    idle = results.get("memory", {}).get("idle", {}).get(PROXY)
    burst = typical(results, "burst", PROXY, "cpu_us")
    live, short = (
        _with_multiple(results, load, name) for load, name in (("paced", NGINX), ("short", PASSTHROUGH))
    )
    rows = (
        (
            "latency added to an event, median",
            _milliseconds(added(results, "paced", PROXY, "latency_us", "p50")),
        ),
        (
            "latency added, worst of a hundred",
            _milliseconds(added(results, "paced", PROXY, "latency_us", "p99")),
        ),
        (
            "time added until the first event",
            _milliseconds(added(results, "light", PROXY, "first_us", "p50")),
        ),
        ("processor time of an event that comes alone", live),
        ("processor time of an event in a stream of ten words", short),
        (
            "events a second that one core repairs, when they come faster than they can be read",
            show(None if burst is None else 1e6 / burst, 0),
        ),
        ("memory of the process", show(idle["1"]["mib"] if idle else None, 0, " MiB")),
        (
            "memory of an open stream that says nothing",
            show(kib_per_stream(idle) if idle else None, 0, " KiB"),
        ),
        (
            "time until vLLM is released after a client left",
            released(idle["1"]["released_s"] if idle else None),
        ),
        ("two workers on two cores, as a multiple of one", show(results.get("workers", {}).get("speedup"))),
    )
    return f"{provenance(results)}\n\n" + table(("what", "how much"), rows)


def _with_multiple(results: Results, load: str, other: str) -> str:
    cost = show(typical(results, load, PROXY, "cpu_us"), 0, " µs")
    multiple = show(ratio(results, load, PROXY, other, "cpu_us"), 1)
    return f"{cost}, {multiple} × {other}'s"


def _milliseconds(microseconds: float | None) -> str:
    return show(milliseconds(microseconds), 2, " ms")


# ----------------------------------------------------------------------------------------------------- plots

_LATENCY: Final = "performance-latency.svg"


def plots(results: Results) -> dict[str, str]:
    """Return the plots that the results allow, by file name."""
    made: dict[str, str] = {}
    quantiles = {
        "min": 0,
        "p1": 1,
        "p10": 10,
        "p25": 25,
        "p50": 50,
        "p75": 75,
        "p90": 90,
        "p95": 95,
        "p99": 99,
        "p999": 99.9,
    }
    latencies = {
        name: [
            (typical(results, "paced", name, "latency_us", key) or math.nan, float(share))
            for key, share in quantiles.items()
        ]
        for name in ORDER
        if typical(results, "paced", name, "cpu_us") is not None
    }
    if latencies:
        made[_LATENCY] = chart(
            "Latency of a live event: 100 streams, 50 events/s each",
            Axis("µs", logarithmic=True),
            Axis("% of events that take no longer", ticks=(0, 25, 50, 75, 100)),
            latencies,
        )
    if layers := results.get("layers"):
        made["performance-repairs.svg"] = chart(
            "Cost per event over the number of further repairs, in the core",
            Axis("further repairs"),
            Axis("CPU µs per event"),
            {
                f"for {kind}": [(float(n), cost) for n, cost in costs.items()]
                for kind, costs in layers["by_repairs"].items()
            },
        )
    if curves := results.get("curves"):
        made["performance-length.svg"] = chart(
            "Cost per event over the length of the stream (bursts)",
            Axis("deltas", logarithmic=True),
            Axis("CPU µs per event"),
            _curves(curves["by_length"]),
        )
        made["performance-open-streams.svg"] = chart(
            "Cost per live event over the number of other open streams",
            Axis("open idle streams"),
            Axis("CPU µs per event"),
            _curves(curves["by_open_streams"]),
        )
    return made


def _curves(curve: dict[str, dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    return {name: [(float(at), value) for at, value in one["medians"].items()] for name, one in curve.items()}


# ------------------------------------------------------------------------------------------------- documents


def documents(results: Results) -> dict[Path, str]:
    """Return both pages with their generated parts made again."""
    pictures = {name: f"![{_title(picture)}]({name})" for name, picture in plots(results).items()}
    latency = pictures.pop(_LATENCY, "")
    curves = "\n\n".join(pictures.values())
    parts = {
        FOR_USERS: f"{_numbers(results)}\n\n{latency}",
        DOCUMENT: f"{tables(results)}\n\n### Curves\n\n{curves}",
    }
    return {page: _with_part(page.read_text("utf-8"), part) for page, part in parts.items()}


def _with_part(text: str, part: str) -> str:
    whole = f"{_BEGIN}\n\n{part}\n\n{_END}"
    return re.sub(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", lambda _: whole, text, flags=re.DOTALL)


def _title(picture: str) -> str:
    return picture.partition("<title>")[2].partition("</title>")[0]


def write(results: Results) -> None:
    """Write both pages and the plots."""
    for page, text in documents(results).items():
        page.write_text(text, "utf-8")
    for name, picture in plots(results).items():
        (DOCUMENT.parent / name).write_text(picture, "utf-8")


if __name__ == "__main__":
    write(json.loads(RESULTS.read_text("utf-8")))
