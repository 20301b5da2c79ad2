"""Captured requests, and what the request repairs make of them.

``python -m tests.support.requests`` writes `tests/requests/expected.json` again: read it before you commit it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from copy import deepcopy
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.requests import Facts, RequestAttempts, Step
from vllm_sse_proxy.families.responses.requests import ResponsesPlanner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.refusals import Server
    from vllm_sse_proxy.families.requests import Repaired, RequestRepair

Json = dict[str, Any]

FOLDER: Final = Path(__file__).parents[1] / "requests"
EXPECTED: Final = FOLDER / "expected.json"

ITEMS: Final[Json] = {
    "rs_cap10": {
        "type": "reasoning",
        "id": "rs_cap10",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "I think."}],
    },
    "msg_cap20": {
        "type": "message",
        "id": "msg_cap20",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Sunny.", "annotations": []}],
    },
    "ctc_cap11": {
        "type": "custom_tool_call",
        "id": "ctc_cap11",
        "call_id": "call_cap11",
        "name": "run_code",
        "input": "print(3**3)",
        "status": "completed",
    },
    "apc_1": {
        "type": "apply_patch_call",
        "id": "apc_1",
        "call_id": "call_ap",
        "operation": {"type": "create_file", "path": "a.txt", "diff": "+hi"},
        "status": "completed",
    },
    "sh_1": {
        "type": "shell_call",
        "id": "sh_1",
        "call_id": "call_sh",
        "action": {"commands": ["echo hi"], "timeout_ms": None, "max_output_length": None},
        "status": "completed",
    },
}
"""What the ids in the captured references stand for: the proxy emitted these in the turn before."""

PLANNER: Final = ResponsesPlanner()
NO_FACTS: Final = Facts()
SITUATIONS: Final = {
    "unknown upstream": Facts(items=ITEMS),
    "harmony": Facts(harmony=True, items=ITEMS),
    "0.32 simple": Facts(harmony=False, release=(0, 32), items=ITEMS),
}
"""What may be known of upstream, for the expectations."""
_LONG: Final = 60


def captured() -> dict[str, Json]:
    """Return the bodies of the captured requests by their names."""
    files = sorted((FOLDER / "captured").rglob("*.json"))
    assert len(files) > 100
    return {
        file.relative_to(FOLDER / "captured").with_suffix("").as_posix(): json.loads(file.read_text("utf-8"))[
            "body"
        ]
        for file in files
    }


def features() -> Json:
    """Return the requests with one feature each: ``body``, and ``statuses`` in the order of the six servers."""
    read: Json = json.loads((FOLDER / "features.json").read_text("utf-8"))
    return read


def results() -> Json:
    """Return the statuses of the captured requests on real servers."""
    read: Json = json.loads((FOLDER / "results.json").read_text("utf-8"))
    return read


def repaired_by(repair: RequestRepair, body: Json, **facts: Any) -> Repaired | None:
    """Return what a repair makes of a request; it must not change it."""
    before = deepcopy(body)
    result = repair.repair(body, Facts(**facts))
    assert body == before, f"{repair.name} changed its input"
    assert result is None or repair.concerns(body, Facts(**facts))
    return result


def body_after(repair: RequestRepair, body: Json, **facts: Any) -> Json:
    """Return the request after a repair that must have something to change."""
    result = repaired_by(repair, body, **facts)
    assert result is not None
    return result.body


def sent_to(
    server: Server, body: Json, facts: Facts = NO_FACTS, planner: ResponsesPlanner = PLANNER
) -> tuple[int, RequestAttempts]:
    """Send a request to a refusing upstream, as the proxy does; return the status of the last answer, and the attempts."""
    raw = orjson.dumps(body)
    attempts = RequestAttempts(planner, raw, orjson.loads(raw), facts)
    post = attempts.first()
    while True:
        status, message = server.answer(orjson.loads(post.body))
        following = None if status == 200 else attempts.after(status, server.refusal(status, message))
        if following is None:
            return status, attempts
        post = following


def expectations() -> Json:
    """Return what becomes of every captured request, for each step and situation; only what changes."""
    return {name: _expectation(body) for name, body in captured().items()}


def _expectation(body: Json) -> Json:
    """Return what becomes of a request; what is as before, by the name of what it is as."""
    shown: Json = {}
    for situation, facts in SITUATIONS.items():
        steps = {
            step.name.lower(): _shown(body, facts, step) for step in (Step.FIRST, Step.LOSSLESS, Step.LOSSY)
        }
        if steps["lossy"] == steps["lossless"]:
            steps["lossy"] = "lossless"
        if not steps["first"]:
            del steps["first"]
        shown[situation] = next((name for name, other in shown.items() if other == steps), steps)
    return shown


def _shown(body: Json, facts: Facts, step: Step) -> Any:
    repairing = PLANNER.repaired(body, facts, step)
    if not repairing.names:
        return None
    return {"repairs": list(repairing.names), "changes": dict(changes(body, repairing.body))}


def changes(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the paths at which two trees differ, each with what is there now; None if it is gone."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            if before.get(name, changes) != after.get(name, changes):
                where = f"{path}.{name}" if path else name
                if name in before and name in after and name != "parameters":
                    yield from changes(before[name], after[name], where)
                else:
                    yield where, abbreviated({name: after[name]})[name] if name in after else None
    elif isinstance(before, list) and isinstance(after, list):
        old = [json.dumps(one, sort_keys=True) for one in before]
        new = [json.dumps(one, sort_keys=True) for one in after]
        for what, start, end, new_start, new_end in SequenceMatcher(
            None, old, new, autojunk=False
        ).get_opcodes():
            if what == "replace" and end - start == new_end - new_start:
                for offset in range(end - start):
                    yield from changes(
                        before[start + offset], after[new_start + offset], f"{path}[{start + offset}]"
                    )
            elif what != "equal":
                yield f"{path}[{start}:{end}]", abbreviated(after[new_start:new_end]) or None
    else:
        yield path, abbreviated(after)


def abbreviated(value: Any) -> Any:
    """Return a value short enough to be read: long strings and schemas by their beginning and digest."""
    if isinstance(value, dict):
        return {
            name: _digest(one) if name == "parameters" else abbreviated(one) for name, one in value.items()
        }
    if isinstance(value, list):
        return [abbreviated(one) for one in value]
    if isinstance(value, str) and len(value) > _LONG:
        return f"{value[:_LONG]}… {_digest(value)}"
    return value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def spelled(expected: Json) -> str:
    """Return expectations as the file has them: one line for each request and situation."""
    blocks = [
        f"  {json.dumps(name)}: {{\n"
        + ",\n".join(
            f"    {json.dumps(where)}: {json.dumps(what, ensure_ascii=False)}" for where, what in each.items()
        )
        + "\n  }"
        for name, each in expected.items()
    ]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    EXPECTED.write_text(spelled(expectations()), "utf-8")
    sys.stdout.write(f"{EXPECTED}: read it before you commit it\n")
