"""Run the suite: `python -m tests.labs.faults PART...`, where a part is one of those below; see the Makefile.

The results are kept in tests/labs/results, and `make docs` shows them in docs/reliability.md. Exit code 1: something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import sys
import time
from typing import TYPE_CHECKING

from tests.labs.faults import (
    client_faults,
    family_faults,
    hostile,
    namespaces,
    report,
    rolling,
    smuggling,
    soak,
    upstream_faults,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.labs.faults.report import Row

PARTS: dict[str, tuple[Callable[[], Awaitable[list[Row]]], ...]] = {
    "faults": (
        upstream_faults.matrix,
        upstream_faults.every_byte,
        family_faults.families,
        namespaces.link_cuts,
        client_faults.leaving,
        client_faults.slow_reader,
        client_faults.never_reads,
        client_faults.stuck_requests,
        hostile.attacks,
        rolling.restarts,
    ),
    "smuggling": (smuggling.compare,),
    "soak": (soak.soak,),
}


async def run(part: str, only: str | None) -> list[Row]:
    """Run a part, and print each case as it is done."""
    rows: list[Row] = []
    for step in PARTS[part]:
        name = f"{step.__module__.rpartition('.')[2]}.{step.__name__}"
        if only is not None and only not in name:
            continue
        print(f"-- {name}", flush=True)
        began = time.monotonic()
        done = await step()
        rows += done
        for row in done:
            print(row)
        print(f"-- {name}: {len(done)} cases, {time.monotonic() - began:.0f} s", flush=True)
    return rows


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.faults", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument(
        "--only", metavar="WORD", help="only the steps whose name holds it; nothing is kept then"
    )
    options = parser.parse_args()
    rows = asyncio.run(run(options.part, options.only))
    wrong = [row for row in rows if row.wrong]
    if options.only is None:
        report.save(options.part, rows, python=platform.python_version(), cores=os.cpu_count())
    print(f"{len(rows)} cases, {len(wrong)} wrong")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
