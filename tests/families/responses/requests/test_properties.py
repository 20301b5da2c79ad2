"""Whatever comes: nothing raises, nothing is changed in place, and the answer can be written."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.requests import features
from vllm_sse_proxy.families.requests import Facts, RequestAttempts, Step
from vllm_sse_proxy.families.responses.requests import REQUEST_REPAIRS, ResponsesPlanner
from vllm_sse_proxy.families.responses.requests.items import references
from vllm_sse_proxy.families.responses.requests.plan import conversion_of

PLANNER = ResponsesPlanner(enabled={repair.name for repair in REQUEST_REPAIRS})
BODIES = [each["body"] for each in features().values()]
WORDS = sorted(
    {word for body in BODIES for word in orjson.dumps(body).decode().split('"')[1::2] if len(word) < 40}
    | {
        "custom_tool_call_output",
        "shell_call_output",
        "local_shell_call_output",
        "tool_search_output",
        "allowed_tools",
    }
)

leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(WORDS) | st.text(max_size=3)
anything = st.recursive(
    leaves,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(WORDS), each, max_size=4),
    max_leaves=20,
)
facts = st.builds(
    Facts,
    release=st.sampled_from([None, (0, 12), (0, 24), (0, 32)]),
    harmony=st.sampled_from([None, True, False]),
    sees_pictures=st.sampled_from([None, True, False]),
    strict_template=st.booleans(),
    items=st.just({"rs_1": {"type": "reasoning"}, "msg_1": 7}),
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """Return a request with one feature, and something else in the place of one of its values."""
    body: dict[str, Any] = deepcopy(draw(st.sampled_from(BODIES)))
    node: Any = body
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return body
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or draw(st.booleans()):
            node[key] = draw(anything)
            return body
        node = node[key]


requests = damaged() | st.dictionaries(
    st.sampled_from(
        ["input", "tools", "tool_choice", "include", "reasoning", "text", "metadata", "background"]
    ),
    anything,
)


@pytest.mark.long
@settings(deadline=None, max_examples=400)
@given(requests, facts, st.sampled_from([Step.FIRST, Step.LOSSLESS, Step.LOSSY]))
def test_any_request(body: dict[str, Any], known: Facts, step: Step) -> None:
    before = deepcopy(body)
    repairing = PLANNER.repaired(body, known, step)
    assert body == before
    orjson.dumps(repairing.body)
    conversion = conversion_of(body, repairing)
    conversion.to_metadata()
    conversion.restored_response({"output": body.get("input"), "tools": body.get("tools"), "metadata": body})
    assert PLANNER.is_urgent(body, known) or not PLANNER.repaired(body, known, Step.FIRST).names
    references(body)


@settings(deadline=None, max_examples=200)
@given(
    requests,
    facts,
    st.sampled_from([Step.FIRST, Step.LOSSLESS, Step.LOSSY]),
    st.sampled_from([400, 500, 501]),
)
def test_any_request_on_its_way(body: dict[str, Any], known: Facts, step: Step, status: int) -> None:
    attempts = RequestAttempts(PLANNER, orjson.dumps(body), body, known, step)
    post = attempts.first()
    for _ in range(3):
        orjson.loads(post.body)
        following = attempts.after(status, b'{"error":{"message":"\'role\'"}}')
        if following is None:
            break
        post = following
    assert len(attempts.posts) <= 3
    assert attempts.decisive < len(attempts.posts)
