"""Two checkouts compared: what each makes of every recording.

    python -m tests.support.comparison OTHER_CHECKOUT [FOLDER ...] [--show N]

Every recording is repaired in three dialects and in three chunkings (whole, an event a read, odd pieces), here and by the
other checkout, which runs its own copy of this module. Bytes, tallies and endings must be identical. What differs is listed,
and with ``--show`` the events of the first N differences too. A rebuild that changes nothing on purpose must end with
"0 differ".
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.recordings import Recording, load_all
from vllm_sse_proxy import Dialect, build_plan
from vllm_sse_proxy.stream.normalizer import StreamNormalizer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
RENAMED = {"unsent_items": "unsent_items"}
"""Repairs that have another name in the other checkout."""
ODD_BYTES = (1, 7, 61, 1021, 3)
"""Sizes of odd pieces, in turn."""


def chunkings(body: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield each way in which the body arrives."""
    yield "whole", [body]
    yield "events", [frame + b"\n\n" for frame in body.split(b"\n\n")]
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        size = ODD_BYTES[len(pieces) % len(ODD_BYTES)]
        pieces.append(body[at : at + size])
        at += size
    yield "pieces", pieces


def streams(folders: list[Path]) -> Iterator[Recording]:
    """Yield the recorded Responses streams below some folders."""
    for folder in folders:
        yield from (
            recording
            for recording in load_all(folder)
            if recording.is_response_stream and not recording.is_suffix
        )


def repaired(recording: Recording, dialect: str, chunks: list[bytes]) -> tuple[bytes, StreamNormalizer]:
    """Return what the core makes of a recording that arrives in these chunks."""
    plan = build_plan(dialect=Dialect(dialect))
    normalizer = StreamNormalizer(plan, recording.context())
    made = b"".join(normalizer.feed(chunk) for chunk in chunks)
    return made + normalizer.finish(recording.known_end), normalizer


def outcomes(folders: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name of each case, and a line that is the same where everything is."""
    for recording in streams(folders):
        for dialect in Dialect:
            for name, chunks in chunkings(recording.body):
                made, normalizer = repaired(recording, dialect.value, chunks)
                tally = normalizer.tally
                counts = [
                    tally.events_in,
                    tally.events_out,
                    tally.events_renumbered,
                    tally.events_inserted,
                ]
                counts += [tally.events_dropped, tally.comments, tally.bytes_in, tally.bytes_out]
                line = json.dumps(
                    [hashlib.sha256(made).hexdigest(), str(normalizer.ending), counts, tally.repairs],
                    sort_keys=True,
                )
                yield f"{recording.name} {dialect.value} {name}", line


def elsewhere(checkout: Path, *arguments: str) -> str:
    """Run this module as another checkout has it, and return what it prints."""
    path = os.pathsep.join([str(checkout / "proxy"), str(checkout)])
    output = subprocess.run(
        [sys.executable, "-m", "tests.support.comparison", *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    for old, new in RENAMED.items():
        output = output.replace(f'"{old}"', f'"{new}"')
    return output


def lines_of(stream: bytes) -> list[str]:
    """Return a stream's lines, for people: no numbers."""
    lines = []
    for line in stream.decode("utf-8", "replace").splitlines():
        if line.startswith("data: {"):
            event: dict[str, Any] = json.loads(line[6:])
            event.pop("sequence_number", None)
            lines.append(json.dumps(event))
    return lines


def main(arguments: list[str]) -> int:
    """Compare; return how many cases differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.comparison", description=main.__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("folder", type=Path, nargs="*", help="of recordings; tests/recordings without one")
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="print the events of the first N differences"
    )
    parser.add_argument(
        "--print", choices=["outcomes", "events"], help="print what this checkout makes, and end"
    )
    parser.add_argument("--only", default="", help="with --print events: the recording")
    options = parser.parse_args(arguments)
    folders = [folder.absolute() for folder in options.folder or [ROOT / "tests" / "recordings"]]
    if options.print == "outcomes":
        sys.stdout.writelines(f"{name}\t{line}\n" for name, line in outcomes(folders))
        return 0
    if options.print == "events":
        (recording,) = [one for one in streams(folders) if one.name == options.only]
        made, _ = repaired(recording, "openai", [recording.body])
        sys.stdout.writelines(f"{line}\n" for line in lines_of(made))
        return 0
    names = [str(folder) for folder in folders]
    theirs = dict(
        line.split("\t")
        for line in elsewhere(options.checkout, ".", *names, "--print", "outcomes").splitlines()
    )
    mine = dict(outcomes(folders))
    different = [name for name in mine if mine[name] != theirs.get(name)]
    for name in different:
        sys.stdout.write(f"{name}\n  theirs {theirs.get(name)}\n  ours   {mine[name]}\n")
    for name in list(dict.fromkeys(name.split()[0] for name in different))[: options.show]:
        only = (*names, "--print", "events", "--only", name)
        before = elsewhere(options.checkout, ".", *only).splitlines()
        after = elsewhere(ROOT, ".", *only).splitlines()
        sys.stdout.write(
            f"\n{name}\n" + "\n".join(difflib.unified_diff(before, after, n=0, lineterm="")) + "\n"
        )
    sys.stdout.write(f"{len(mine)} cases, {len(different)} differ\n")
    return min(len(different), 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
