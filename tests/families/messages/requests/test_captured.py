"""Captured requests of messages: what the repairs make of them, and what real servers say to them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.message_requests import (
    EXPECTED,
    PLANNER,
    SERVERS,
    Server,
    captured,
    expectations,
    results,
    sent_to,
)
from vllm_sse_proxy.families.messages.requests import REQUEST_REPAIRS, MessagesPlanner
from vllm_sse_proxy.families.requests import Facts, Step

Json = dict[str, Any]


def test_they_become_what_is_expected() -> None:
    assert expectations() == json.loads(EXPECTED.read_text("utf-8"))


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
class TestServers:
    def test_it_refuses_what_the_real_one_refuses(self, server: Server) -> None:
        for name, status in self._statuses(server.name).items():
            refused = bool(server.refusal(captured()[name]["body"]))
            assert status == (400 if refused else 200), name

    def test_it_accepts_everything_in_the_end(self, server: Server) -> None:
        for name, one in captured().items():
            posts, names = sent_to(server, one["body"])
            assert not server.refusal(posts[-1]), name
            assert len(posts) == 1 or names, name

    def test_the_real_one_does_so_too(self, server: Server) -> None:
        assert set(self._statuses(f"{server.name} repaired").values()) == {200}

    @staticmethod
    def _statuses(name: str) -> dict[str, int]:
        """Return what a server has said. 0.17.0 was not asked for forced calls, which its engine dies of on a CPU."""
        found = {title: statuses[name] for title, statuses in results().items() if name in statuses}
        assert len(found) >= 80
        return found


def test_every_repair_is_seen() -> None:
    """But for what is newer than the clients, and what a refusal has to say first."""
    seen: set[str] = set()
    for one in captured().values():
        seen |= set(
            PLANNER.repaired(one["body"], Facts(release=(0, 12), sees_pictures=False), Step.LOSSY).names
        )
    assert {repair.name for repair in REQUEST_REPAIRS} - seen <= {"unknown_blocks", "token_limits"}


def test_what_was_repaired_needs_no_repair() -> None:
    facts = Facts(release=(0, 12), sees_pictures=False)
    for name, one in captured().items():
        repaired = PLANNER.repaired(one["body"], facts, Step.LOSSY)
        assert PLANNER.repaired(repaired.body, facts, Step.LOSSY).names == (), name


def test_nobody_writes_into_a_request() -> None:
    for name, one in captured().items():
        before = orjson.dumps(one["body"])
        PLANNER.repaired(one["body"], Facts(release=(0, 12), sees_pictures=False), Step.LOSSY)
        assert orjson.dumps(one["body"]) == before, name


def test_a_repair_can_be_switched_off() -> None:
    planner = MessagesPlanner(disabled={"server_tools"})
    assert "server_tools" not in {repair.name for repair in planner.repairs}


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.sampled_from(["", "text", "user", "system", "document", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "text",
                    "content",
                    "role",
                    "source",
                    "data",
                    "name",
                    "tool",
                    "tools",
                    "input",
                    "citations",
                    "title",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "tools", "tool_choice", "thinking", "max_tokens", "system"]),
        _VALUES,
        max_size=6,
    )
)
def test_nothing_that_a_client_sends_makes_a_repair_raise(body: Json) -> None:
    for facts in (Facts(), Facts(release=(0, 12), sees_pictures=False)):
        PLANNER.repaired(body, facts, Step.LOSSY)
        PLANNER.depends_on_upstream(body)
