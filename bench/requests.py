"""What a request costs in microseconds of process time: one that needs nothing, and one that is repaired.

python -m bench.requests
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.requests import Facts, RequestAttempts, RequestMemory
from vllm_sse_proxy.families.requests.document import read, write
from vllm_sse_proxy.families.responses.requests import ResponsesPlanner

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURED: Final = Path(__file__).parents[1] / "tests" / "requests" / "captured"
SMALL: Final = "openai-agents/tool"
LARGE: Final = "codex/mcp-results-text-and-image"
"""The largest that was captured: 41 KB with the texts that were left out."""
ROUNDS: Final = 7
REFUSALS: Final = (
    b'{"error":{"message":"tool type \'namespace\' is not supported. (parameter=tools)"}}',
    b'{"error":{"message":"tool type \'web_search\' is not supported. (parameter=tools)"}}',
)


def restored(value: Any) -> Any:
    """Return a captured body with texts as long as those that were left out."""
    if isinstance(value, dict):
        return {name: restored(member) for name, member in value.items()}
    if isinstance(value, list):
        return [restored(member) for member in value]
    left_out = re.match(r"\[text of (\d+) characters left out\]", value) if isinstance(value, str) else None
    return "x" * int(left_out[1]) if left_out is not None else value


def microseconds(what: Callable[[], object], times: int) -> float:
    """Return what one call takes in process time, the least of some rounds."""
    least = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            what()
        least = min(least, (time.process_time() - start) / times)
    return least * 1e6


def costs(name: str) -> list[tuple[str, float]]:
    """Return what is done with a captured request, and the microseconds that it takes."""
    planner, memory, facts = ResponsesPlanner(), RequestMemory(), Facts()
    raw = orjson.dumps(restored(json.loads((CAPTURED / f"{name}.json").read_text("utf-8"))["body"]))
    request = orjson.loads(raw)
    tree = read(raw) or {}

    def nothing() -> object:
        return planner.is_urgent(request, facts) or memory.knows(("http://upstream", "m"))

    def refused_twice() -> object:
        attempts = RequestAttempts(planner, raw, request, facts)
        attempts.first()
        return [attempts.after(400, refusal) for refusal in REFUSALS]

    return [
        (f"{name}, bytes", len(raw)),
        ("  seen to need nothing", microseconds(nothing, 20_000)),
        ("  which features it has", microseconds(lambda: planner.features(request, facts), 500)),
        ("  two refusals, two more bodies", microseconds(refused_twice, 200)),
        ("  read with numbers as they are", microseconds(lambda: read(raw), 500)),
        ("  written", microseconds(lambda: write(tree), 500)),
    ]


def main() -> None:
    """Print the table."""
    for name in (SMALL, LARGE):
        for what, cost in costs(name):
            print(f"{what:44} {cost:10.2f}")


if __name__ == "__main__":
    main()
