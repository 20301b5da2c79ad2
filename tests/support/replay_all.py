# ruff: noqa: T201 - a command prints
"""Replay a folder of recordings: `python -m tests.support.replay_all DIR`.

Prints every stream that does not conform after the repair, with what is wrong, and for each release how many streams
conform as they are, do so but for [DONE], leave with nothing but [DONE] added, and conform after the repair, losing no words.
"""

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path

from tests.support.recordings import Recording, load_all
from tests.support.replay import faults, lost_words, normalize
from vllm_sse_proxy import BodyEnd, Dialect, Plan, build_plan
from vllm_sse_proxy.families.responses.conformance import check_stream

SINGLE_BYTES = 20_000  # longer bodies are cut in pieces of 7 bytes, which is slow enough
SHOWN = 5
DONE = b"data: [DONE]\n\n"


def problems(recording: Recording, plan: Plan, dialect: Dialect) -> list[str]:
    """Return what is wrong with the repaired stream."""
    context = recording.context()
    made, normalizer = normalize([recording.body], recording.known_end, plan=plan, context=context)
    if normalizer.tally.repair_failures:
        return [f"repairs failed: {normalizer.tally.repair_failures}"]
    if not normalizer.committed:
        return [] if normalizer.failure is not None else ["nothing emitted, and no failure"]
    found = faults(made, dialect=dialect)
    found += lost_words(recording.body, made)
    size = 1 if len(recording.body) < SINGLE_BYTES else 7
    pieces = [recording.body[i : i + size] for i in range(0, len(recording.body), size)]
    if normalize(pieces, recording.known_end, plan=plan, context=context)[0] != made:
        found.append("depends on the chunking")
    again, second = normalize([made], BodyEnd.EOF, plan=plan, context=context)
    if again != made:
        found.append(f"not a fixed point: {dict(second.tally.repairs)}")
    return found


def main(arguments: list[str]) -> int:
    """Replay, print, and return 1 if any stream has a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dialect", type=Dialect, choices=list(Dialect), default=Dialect.OPENAI)
    parser.add_argument("--suffixes", action="store_true", help="also streams asked for with starting_after")
    options = parser.parse_args(arguments)
    plan = build_plan(strict=True, dialect=options.dialect)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    endings: Counter[str] = Counter()
    for recording in load_all(options.folder):
        if not recording.is_response_stream or (recording.is_suffix and not options.suffixes):
            continue
        found = problems(recording, plan, options.dialect)
        made, normalizer = normalize(
            [recording.body], recording.known_end, plan=plan, context=recording.context()
        )
        endings[str(normalizer.ending)] += 1
        count = counts[recording.release]
        count["streams"] += 1
        count["conform"] += not check_stream(recording.body, dialect=options.dialect)
        count["less [DONE]"] += not check_stream(recording.body, dialect=options.dialect, require_done=False)
        count["identical"] += made == recording.body + DONE
        count["after"] += not found
        if found:
            print(f"{recording.name} ({recording.end}, {len(recording.body)} bytes): {len(found)}")
            for line in found[:SHOWN]:
                print(f"    {line}")
    columns = ("streams", "conform", "less [DONE]", "identical", "after")
    print("\nrelease   " + "".join(f"{column:>12}" for column in columns))
    for release, count in sorted(counts.items()):
        print(f"{release:10}" + "".join(f"{count[column]:>12}" for column in columns))
    print("endings:", ", ".join(f"{ending} {n}" for ending, n in endings.most_common()))
    return int(any(count["after"] < count["streams"] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
