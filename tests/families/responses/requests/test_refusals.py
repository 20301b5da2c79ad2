"""The scripted upstream refuses what real servers refused."""

from __future__ import annotations

import pytest

from tests.support.refusals import SERVERS, Server
from tests.support.requests import captured, features, results

RAN = {0: 200, "generation broke off in the lab": 200}
"""Not vLLM's answer to the request: the lab's machine could not constrain output, or lost the stream."""


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_captured_requests(server: Server) -> None:
    bodies = captured()
    measured = {
        name: statuses[server.name] for name, statuses in results().items() if server.name in statuses
    }
    assert len(measured) >= 105  # one request was not sent to 0.32.0 harmony
    answers = {name: server.answer(bodies[name])[0] for name in measured}
    assert answers == {name: RAN.get(status, status) for name, status in measured.items()}


@pytest.mark.parametrize(
    ("place", "server"), list(enumerate(SERVERS)), ids=lambda value: getattr(value, "name", "")
)
def test_requests_with_one_feature(place: int, server: Server) -> None:
    measured = features()
    assert len(measured) > 230
    answers = {name: server.answer(each["body"])[0] for name, each in measured.items()}
    assert answers == {name: each["statuses"][place] for name, each in measured.items()}
