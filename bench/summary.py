"""From what was measured to what is kept: the figures that docs/benchmarks.md shows, without the rounds they come from.

Every figure is a median over the rounds. A ratio, or what is added to no proxy at all, is made within a round first, since the
machine's noise lasts longer than one. What every round found is left in build/bench/.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.contenders import DIRECT, NGINX, PASSTHROUGH, PROXY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Run = dict[str, Any]
Runs = dict[str, list[Run]]
"""The runs of one load by contender, one for each round."""

DIGITS: Final = 5
"""Significant digits of what is kept, all of those before the point included. The tables show no more."""

COMPARED: Final = {NGINX: ("rate", "cpu_us"), PASSTHROUGH: ("cpu_us",)}
"""What everyone is compared with, and in what."""

_CURVE: Final = ("min", "p1", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999")
_LIVE: Final = {"latency_us": ("p50", "p99"), "first_us": ("p50",)}
_STRESS: Final = {"stream_p99_us": ("p50", "max"), "share": ("min", "p50", "max")}
QUANTILES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "light": _LIVE,
    "paced": {**_LIVE, "latency_us": _CURVE},
    "lockstep": _LIVE,
    "crowd": _STRESS,
    "rush": _STRESS,
}
"""Loads, and the quantiles of their distributions that are shown."""

ADDED: Final = ("light", "paced")
"""Loads of which is shown what a contender adds to no proxy at all."""

LAGS: Final = ("paced", "lockstep", "crowd", "rush")
"""Loads of which the lag of the proxy's event loop is shown: the sum of its samples over the rounds."""


def cpu_us(run: Run) -> float:
    """Return the CPU time per event, or per answer where those hold no events."""
    return float(run["cpu_s"] / (run["events"] or run["ok"]) * 1e6)


def rate(run: Run) -> float:
    """Return events per second, or answers per second where those hold no events."""
    return float((run["events"] or run["ok"]) / run["wall_s"])


QUANTITIES: Final[dict[str, Callable[[Run], float]]] = {"rate": rate, "cpu_us": cpu_us}


def kept(part: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a part of the measurement."""
    match part:
        case "loads" | "stress":
            return {**found, "runs": of_loads(found["runs"])}
        case "recordings":
            return {**found, "runs": of_recordings(found["runs"])}
        case "layers":
            return {name: rounded(_shown(one)) for name, one in found.items()}
        case "curves":
            curves = {"by_length": "2000", "by_open_streams": "0"}
            return {**found, **{name: of_curve(found[name], base) for name, base in curves.items()}}
        case "workers":
            return {**found, **of_workers(found["events_per_s"])}
        case _:
            return {name: rounded(one) for name, one in found.items()}


def of_loads(
    found: Mapping[str, Runs], compared: Mapping[str, tuple[str, ...]] = COMPARED
) -> dict[str, dict[str, Any]]:
    """Return what is kept of loads: figures by load and contender, without contenders that answered nothing.

    - `rate` in events of upstream per second, `cpu_us` for each of them, and `to`: both as multiples of others'
    - distributions (`latency_us`, `first_us`, `stream_p99_us`, `share`), and what is `added` to them
    - `worst_to_median`: the worst stream's p99 latency as a multiple of the median stream's
    - `lag`: how many samples were within each bound, in seconds
    - `breaks_off`: not all streams came to their end
    """
    return {
        load: {
            name: _figures(
                load, own, runs, {other: what for other, what in compared.items() if other != name}
            )
            for name in runs
            if (own := _that_answered(runs, name))
        }
        for load, runs in ((load, of_upstream(runs)) for load, runs in found.items())
    }


def of_upstream(runs: Runs) -> Runs:
    """Return runs that count as many events for each whole stream as upstream sent.

    The proxy makes events that upstream left out and leaves out others. By the events that left it, a stream would be the
    cheaper the more it had to be repaired, and one of which much is held the dearer.
    """
    relayed = [run for name in (DIRECT, NGINX) for run in runs.get(name, []) if run["ok"] and run["events"]]
    if not relayed:
        return runs
    sent = median(run["events"] / run["ok"] for run in relayed)
    return {
        name: [{**run, "events": run["ok"] * sent} if run["ok"] and run["events"] else run for run in own]
        for name, own in runs.items()
    }


def _shown(layer: Any) -> Any:
    """Return what the document shows of recordings by release, or of a layer."""
    if not isinstance(layer, dict):
        return layer
    return {name: _shown(one) for name, one in layer.items() if name not in _NOT_SHOWN}


_NOT_SHOWN: Final = frozenset({"events", "bare_us", "worst_long"})


def of_recordings(found: Mapping[str, Runs]) -> dict[str, dict[str, Any]]:
    """Return what is kept of recorded streams: the proxy's `cpu_us` per event, and as multiples of others'."""
    return {
        load: {
            PROXY: {
                "cpu_us": of["cpu_us"],
                "to": {other: {"cpu_us": to["cpu_us"]} for other, to in of["to"].items()},
            }
        }
        for load, figures in of_loads(found).items()
        if (of := figures.get(PROXY))
    }


def of_curve(found: Mapping[str, Mapping[str, list[float]]], base: str) -> dict[str, Any]:
    """Return what is kept of a curve: the medians, and how the last one has grown from one of the first."""
    return {
        name: {
            "medians": {at: _middle(values) for at, values in points.items()},
            "growth": _middle(_ratios(points[max(points, key=int)], points.get(base, []))),
        }
        for name, points in found.items()
    }


def of_workers(speeds: Mapping[str, list[float]] | None) -> dict[str, Any]:
    """Return what is kept of the workers: events per second by their number, and how much faster two are than one."""
    if not speeds:
        return {"events_per_s": None, "speedup": None}
    return {
        "events_per_s": {number: _middle(values) for number, values in speeds.items()},
        "speedup": _middle(_ratios(speeds["2"], speeds["1"])),
    }


def rounded(value: Any) -> Any:
    """Return a number, or all numbers of an object, with the digits that are kept."""
    match value:
        case dict():
            return {name: rounded(one) for name, one in value.items()}
        case float() if math.isfinite(value):
            return round(value) if abs(value) >= 10 ** (DIGITS - 1) else float(f"{value:.{DIGITS}g}")
        case _:
            return value


def _figures(
    load: str, own: list[Run], runs: Runs, compared: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    made: dict[str, Any] = {what: _middle(map(read, own)) for what, read in QUANTITIES.items()}
    made["to"] = {
        other: {
            what: _middle(_ratios(*(map(QUANTITIES[what], each) for each in (own, theirs))))
            for what in quantities
        }
        for other, quantities in compared.items()
        if (theirs := _that_answered(runs, other))
    }
    made["added"] = {}
    for what, quantiles in QUANTILES.get(load, {}).items():
        made[what] = {q: _middle(_values(own, what, q)) for q in quantiles}
        if load in ADDED:
            direct = _that_answered(runs, DIRECT)
            made["added"][what] = {
                q: _middle(
                    a - b for a, b in zip(_values(own, what, q), _values(direct, what, q), strict=False)
                )
                for q in _LIVE[what]
            }
    if "stream_p99_us" in made:
        worst, middle = (_values(own, "stream_p99_us", q) for q in ("max", "p50"))
        made["worst_to_median"] = _middle(_ratios(worst, middle))
    if load in LAGS and (lags := [run["lag"] for run in own if "lag" in run]):
        made["lag"] = {bound: round(sum(lag[bound] for lag in lags)) for bound in lags[0]}
    if sum(run["completed"] for run in own) < sum(run["ok"] for run in own) or not any(
        run["ok"] for run in own
    ):
        made["breaks_off"] = True
    return _without_nothing(made)


def _that_answered(runs: Runs, name: str) -> list[Run]:
    return [run for run in runs.get(name, []) if run["events"] or run["ok"]]


def _values(runs: Iterable[Run], distribution: str, quantile: str) -> list[float]:
    return [run[distribution][quantile] for run in runs if quantile in run[distribution]]


def _ratios(values: Iterable[float], others: Iterable[float]) -> list[float]:
    return [one / other for one, other in zip(values, others, strict=False)]


def _middle(values: Iterable[float]) -> float | None:
    """Return the median, rounded; None if there is nothing."""
    known = list(values)
    middle: float | None = rounded(float(median(known))) if known else None
    return middle


def _without_nothing(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures without those that there are none of."""
    made = {name: _without_nothing(one) if isinstance(one, dict) else one for name, one in figures.items()}
    return {name: one for name, one in made.items() if one is not None and one != {}}
