"""``make bench``: measure, write bench/results.json, docs/benchmarks.md and its plots.

    python -m bench [--parts loads,recordings,stress,memory,curves,workers,layers] [--rounds 5] [--no-docs]

A run of all parts replaces the results; a run of some leaves the others as they were (each part says when it was run). What
is kept are the figures that the document shows; what each round found is left in build/bench/results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from typing import Any, Final

from bench import contenders, layers, machine, measure, recordings, report, summary
from tests.labs.results import compact

RESULTS: Final = machine.HERE / "results.json"

LOAD_PARTS: Final = {
    "loads": ("burst", "short", "clean", "burst2000", "single", "light", "paced", "lockstep", "json"),
    "stress": ("large", "long", "crowd", "rush"),
}
# In this order: memory is that of processes that have done nothing yet, and "rush" leaves them with much to tidy up.
PARTS: Final = ("memory", "loads", "recordings", "curves", "workers", "stress", "layers")


def main() -> int:
    """Run the parts that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--docs", action=argparse.BooleanOptionalAction, default=True, help="write docs/ too")
    options = parser.parse_args()
    wanted = {part for part in options.parts.split(",") if part}
    unknown = wanted - set(PARTS)
    parts = [part for part in PARTS if part in wanted]
    if unknown or options.rounds < 1:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}" if unknown else "at least one round")
    try:
        machine.prepare()
        found = measure_parts(parts, options.rounds)
    except machine.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    (machine.BUILD / "results.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    kept = read_results()
    results = {part: one for part, one in kept.items() if part in PARTS and part not in found}
    results |= {part: summary.kept(part, one) for part, one in found.items()}
    RESULTS.write_text(compact(results) + "\n", "utf-8")
    if options.docs:
        report.write(results)
    print("\n" + report.tables(results))
    return 0


def read_results() -> dict[str, Any]:
    """Return what is kept of earlier runs, by part."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    return kept


def measure_parts(parts: list[str], rounds: int) -> dict[str, Any]:
    """Measure; return what each round found, by part."""
    results: dict[str, Any] = {}
    before = os.getloadavg()[0]
    began = time.monotonic()
    if "layers" in parts:
        results["layers"] = layers.measure(say)
    if set(parts) - {"layers"}:
        with ExitStack() as stack:
            rig = stack.enter_context(machine.Rig())
            everyone, skipped = contenders.start_all(rig)
            for contender in everyone:
                stack.enter_context(contender.process)
            for line in skipped:
                say(f"SKIPPED: {line}")
            for part in (part for part in parts if part != "layers"):
                results[part] = measure_part(part, rig, everyone, rounds)
                results[part]["skipped"] = skipped
    about = machine.circumstances(rounds, before)
    for part in parts:
        results[part]["about"] = about
    say(
        f"done in {time.monotonic() - began:.0f} s, load average {about['load_before']} to {about['load_after']}"
    )
    return results


def measure_part(
    part: str, rig: machine.Rig, everyone: list[contenders.Contender], rounds: int
) -> dict[str, Any]:
    """Measure one part that needs the rig."""
    match part:
        case "memory":
            return {"idle": measure.memory(rig, everyone, say)}
        case "curves":
            few = max(1, round(rounds * 0.6))
            return {
                "by_length": measure.by_length(rig, everyone, few, say),
                "by_open_streams": measure.by_open_streams(rig, everyone, few, say),
            }
        case "recordings":
            known = recordings.loads()
            return {"runs": measure.loads(rig, everyone, known, rounds, say, known=known)}
        case "workers":
            return {"events_per_s": measure.workers(rig, rounds, say)}
        case _:
            return {"runs": measure.loads(rig, everyone, LOAD_PARTS[part], rounds, say)}


def say(line: str) -> None:
    """Print how it goes."""
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
