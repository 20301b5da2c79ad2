"""A second family in the shell: nothing but an entry in the list of families, and none of what only Responses need."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import metric
from tests.support.upstream import Chunk, Cut, End, Head, Wait, json_answer, stream
from tests.support.whole_stream import BODY, DELTA, WHOLE
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.families.responses.family import Responses
from vllm_sse_proxy.server.handling import FamilyHandler
from vllm_sse_proxy.server.routes import OTHER, RouteTable
from vllm_sse_proxy.stream.family import Endpoint, Family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server
    from vllm_sse_proxy.stream.context import RequestContext

BROKEN = [frame.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}') for frame in WHOLE]
PING = b"event: ping\ndata: {}\n\n"
SEEN: list[tuple[str, Mapping[str, Any] | None]] = []


class Toy(Responses):
    """Responses under another name, with forms of its own."""

    name = "toy"
    endpoints = (
        Endpoint("toy", "POST", "/v1/toys"),
        Endpoint("toy_get", "GET", "/v1/toys/{id}", stream_in_query=True),
    )

    def error(self, message: str, type_: str, code: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": type_, "message": message}, "request": code}

    def context(self, resource: str, body: Mapping[str, Any] | None) -> RequestContext:
        SEEN.append((resource, body))
        return super().context(resource, body)

    def keepalive(self, next_number: int) -> bytes | None:  # noqa: ARG002 - its events have no numbers
        return PING


BOTH: tuple[Family, ...] = (*FAMILIES, Toy())


@pytest.mark.parametrize(
    ("method", "path", "query", "route", "resource"),
    [
        ("POST", "/v1/toys", "", "toy", ""),
        ("POST", "/v1/%74oys", "stream=false", "toy", ""),
        ("GET", "/v1/toys/a%20b", "stream=1&stream=true", "toy_get", "a b"),
        ("GET", "/v1/%74oys/a", "x&str%65am=True", "toy_get", "a"),
        ("GET", "/v1/toys/a", "", "other", ""),
        ("GET", "/v1/toys/a", "stream=true&stream=0", "other", ""),
        ("GET", "/v1/toys/", "stream=true", "other", ""),
        ("GET", "/v1/toys/a/b", "stream=true", "other", ""),
        ("GET", "/v1/toys/a%2Fb", "stream=true", "other", ""),
        ("GET", "/v1/toys", "stream=true", "other", ""),
        ("POST", "/v1/toys/", "", "toy", ""),
        ("POST", "//a//v1/toys", "", "toy", ""),
        ("GET", "/a/v1/toys/b/", "stream=true", "toy_get", "b"),
        ("POST", "/v1toys", "", "other", ""),
        ("POST", "/av1/toys", "", "other", ""),
        ("PUT", "/v1/toys", "", "other", ""),
        ("POST", "/v1/responses", "", "responses", ""),
        ("GET", "/v1/responses/resp_1", "stream=true", "responses_get", "resp_1"),
    ],
)
async def test_routes(start: Start, method: str, path: str, query: str, route: str, resource: str) -> None:
    proxy = await start(BOTH)
    assert proxy.gateway is not None
    found = proxy.gateway.routes.find(method, path, query)
    assert (found.label, found.resource) == (route, resource)
    assert (found.handler is None) == (route == "other")
    assert found.reads_body == (route in {"toy", "responses"})


def test_without_families_every_route_is_another() -> None:
    assert RouteTable([]).find("POST", "/v1/responses", "") is OTHER


async def test_its_streams_are_repaired(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    SEEN.clear()
    proxy = await start(BOTH)
    client = await connect(proxy)
    for target in ("/v1/toys", "/v1/responses"):
        upstream.answer(*stream(*BROKEN))
        await client.post(target, BODY)
        assert (await client.answer()).body == b"".join(WHOLE)
    assert [("", None), ("", orjson.loads(BODY))] == SEEN
    assert metric(proxy, "requests_total", route="toy", code="2xx") == 1
    assert metric(proxy, "requests_total", route="responses", code="2xx") == 1
    assert [seen.value("Accept-Encoding") for seen in upstream.requests] == ["identity"] * 2


async def test_its_errors_look_as_it_says(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start(BOTH)
    client = await connect(proxy)
    upstream.answer(Head(), Cut())
    await client.post("/v1/toys", BODY)
    got = await client.answer()
    assert (got.status, orjson.loads(got.body)["type"]) == (502, "error")
    upstream.answer(Cut())
    await client.post("/v1/toys", BODY)
    got = await client.answer()
    assert (got.status, orjson.loads(got.body)["request"]) == (502, got.value("X-SSE-Proxy-Error"))
    upstream.answer(Cut())
    await client.post("/v1/responses", BODY)
    assert set(orjson.loads((await client.answer()).body)) == {"error"}


async def test_its_keep_alive_events_look_as_it_says(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(BOTH, keepalive_seconds=0.02, keepalive="event")
    go_on = asyncio.Event()
    upstream.answer(Head(), Chunk(b"".join(WHOLE[:5])), Wait(go_on), *map(Chunk, WHOLE[5:]), End())
    client = await connect(proxy)
    await client.post("/v1/toys", BODY)
    await client.head()
    assert (await client.chunk()).endswith(DELTA)
    assert await client.chunk() == PING
    go_on.set()


async def test_nothing_of_the_responses_api_is_done_for_it(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    """No resume, no stored call_ids, no status polls, no heed of cancels."""
    proxy = await start(BOTH, status_poll_seconds=0.01, idle_timeout_seconds=0.2)
    client = await connect(proxy)
    target = "/v1/toys/resp_1?stream=true&starting_after=4"
    upstream.answer(Head(), Chunk(b"".join(WHOLE[:5])), Wait(asyncio.Event()))
    await client.get(target)
    assert b"event: response.failed\n" in (await client.answer()).body
    answers_call = {"type": "function_call_output", "call_id": "a", "output": "x"}
    body = orjson.dumps({"previous_response_id": "resp_1", "background": True, "input": [answers_call]})
    upstream.answer(*json_answer({}))
    await client.post("/v1/toys", body)
    await client.answer()
    assert [seen.target for seen in upstream.requests] == [target.encode(), b"/v1/toys"]
    assert upstream.requests[1].body == body


async def test_only_responses_have_a_handler_of_their_own(start: Start) -> None:
    proxy = await start(BOTH)
    assert proxy.gateway is not None
    kinds = {handler.family.name: type(handler) for handler in proxy.gateway.routes.handlers}
    assert kinds["toy"] is FamilyHandler
    assert issubclass(kinds["responses"], FamilyHandler)
    assert kinds["responses"] is not FamilyHandler


def test_routes_of_families_are_different() -> None:
    """Else they would be counted as one, and the second would never be found."""
    endpoints = [endpoint for family in FAMILIES for endpoint in family.endpoints]
    own = [endpoint for endpoint in endpoints if not endpoint.body_members]
    assert len({endpoint.route for endpoint in own} | {"other"}) == len(own) + 1
    assert len({(endpoint.method, endpoint.path) for endpoint in own}) == len(own)
    shared = [endpoint for endpoint in endpoints if endpoint.body_members]
    members = [(one.method, one.path, member) for one in shared for member in one.body_members]
    assert len(set(members)) == len(members)
    assert not {one.path for one in own} & {one.path for one in shared}
    assert len({(one.method, one.path) for one in shared}) == len({one.route for one in shared})


async def test_a_proxy_for_no_family_forwards_everything(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy: Server = await start(())
    upstream.answer(*stream(*BROKEN))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert (await client.answer()).body == b"".join(BROKEN)
    assert metric(proxy, "requests_total", route="other", code="2xx") == 1
