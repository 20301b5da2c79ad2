"""Requests of Anthropic messages that vLLM refuses are sent again in a form that it accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import metric
from tests.support.message_requests import SERVERS, RefusingMessages, captured, sent_to
from tests.support.message_requests import Server as Release
from tests.support.upstream import stream
from vllm_sse_proxy.families.messages.conformance import check_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server.conftest import Connect, Start
    from tests.support.http import Answer
    from vllm_sse_proxy.server.app import Server

Json = dict[str, Any]
JSON = "Content-Type: application/json"
NEW, OLD = SERVERS
SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
PICTURE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
REFERENCE: Json = {"type": "tool_reference", "tool_name": "look"}


@pytest.fixture
async def upstream() -> AsyncIterator[RefusingMessages]:
    async with RefusingMessages(OLD) as fake:
        yield fake


def body_of(*blocks: Json, **members: Any) -> Json:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi."}, *blocks]}]
    return {"model": "m", "max_tokens": 9, "messages": messages, "stream": True, **members}


def result(*blocks: Json) -> Json:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}


async def posted(
    connect: Connect, proxy: Server, body: Json, target: str = "/v1/messages?beta=true"
) -> Answer:
    client = await connect(proxy)
    await client.post(target, orjson.dumps(body), JSON)
    answered = await client.answer()
    assert answered.complete
    return answered


@pytest.mark.parametrize("release", SERVERS, ids=lambda release: release.name)
async def test_every_captured_request(release: Release, connect: Connect, start: Start) -> None:
    """Each is posted as the plan says, and is accepted in the end."""
    async with RefusingMessages(release) as upstream:
        proxy = await start(upstream=upstream.url)
        for name, one in captured().items():
            body = {
                **one["body"],
                "model": name,
            }  # what is remembered of one must not spare the next its refusal
            raw = orjson.loads(orjson.dumps(body))
            answered = await posted(connect, proxy, body, one["path"])
            assert answered.status == 200, name
            if body.get("stream"):
                assert not check_stream(answered.body), name
            posts = [post for post in upstream.posts if post["model"] == name]
            expected, _ = sent_to(release, raw)
            assert len(posts) <= 3, name
            if len(expected) == 1 and not any(
                kind in orjson.dumps(body) for kind in (b'"document"', b'"search_result"', b"tool_reference")
            ):
                assert posts == [raw], f"{name}: what is accepted is not touched"


async def test_the_repairs_are_counted(connect: Connect, proxy: Server) -> None:
    system = {"role": "system", "content": "Be brief."}
    body = body_of(PICTURE, tools=[SEARCH])
    body["messages"].append(system)
    # Three posts are not enough to find out that the model cannot see, too; but it is known from then on.
    statuses = [(await posted(connect, proxy, body)).status for _ in range(2)]
    assert statuses == [400, 200]
    for repair in ("system_messages", "server_tools", "unseen_pictures"):
        assert metric(proxy, "request_repairs_total", repair=repair) == 1
    assert metric(proxy, "request_refusals_total", outcome="repaired") == 1


async def test_what_no_repair_helps_is_answered_as_upstream_answers(
    connect: Connect, proxy: Server, upstream: RefusingMessages
) -> None:
    answered = await posted(connect, proxy, body_of(tools=[SEARCH], tool_choice={"type": "any"}))
    assert answered.status == 400
    assert orjson.loads(answered.body)["error"]["message"] == "Field required"
    assert len(upstream.posts) == 1
    assert metric(proxy, "request_refusals_total", outcome="nothing_to_repair") == 1


async def test_a_repair_that_is_switched_off_is_not_applied(
    connect: Connect, start: Start, upstream: RefusingMessages
) -> None:
    proxy = await start(upstream=upstream.url, disable_repairs=["server_tools"])
    assert (await posted(connect, proxy, body_of(tools=[SEARCH]))).status == 400


async def test_tokens_are_counted_of_the_same_requests(
    connect: Connect, proxy: Server, upstream: RefusingMessages
) -> None:
    body = body_of(tools=[SEARCH])
    del body["stream"], body["max_tokens"]
    answered = await posted(connect, proxy, body, "/v1/messages/count_tokens")
    assert orjson.loads(answered.body) == {"input_tokens": 7}
    assert "tools" not in upstream.posts[-1]


async def test_what_an_old_release_drops_is_said_first(
    connect: Connect, proxy: Server, upstream: RefusingMessages
) -> None:
    """Upstream is asked for its release, because no refusal will come."""
    await posted(connect, proxy, body_of(result(REFERENCE)))
    assert [seen.target for seen in upstream.requests] == [b"/version", b"/v1/messages?beta=true"]
    (post,) = upstream.posts
    words = post["messages"][0]["content"][1]["content"][0]["text"]
    assert "look" in words
    assert metric(proxy, "request_repairs_total", repair="tool_references") == 1


async def test_a_stream_that_is_nothing_but_a_refusal_shows_that_there_are_no_budgets(
    connect: Connect, proxy: Server, upstream: RefusingMessages
) -> None:
    """0.32 without a reasoning parser: the text of a failed validation, in which it has quoted its own error."""
    dump = "2 validation errors for ChatCompletionStreamResponse\nmodel\n  Field required [input_value={'code': 400}}]"
    error = {"type": "error", "error": {"type": "internal_error", "message": dump}}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = body_of(max_tokens=2000, thinking=thinking)
    upstream.instead = stream(b"event: error\ndata: %b\n\n" % orjson.dumps(error))
    assert (await posted(connect, proxy, body)).status == 400
    upstream.instead = ()
    assert (await posted(connect, proxy, body)).status == 200
    assert [post["thinking"] for post in upstream.posts] == [thinking, {"type": "adaptive"}]
    assert metric(proxy, "request_repairs_total", repair="thinking_budgets") == 1


async def test_what_is_misread_is_counted(connect: Connect, proxy: Server) -> None:
    await posted(connect, proxy, body_of(context_management={"edits": []}))
    assert metric(proxy, "requests_misread_total", what="context_management") == 1


async def test_observe_mode_does_nothing(connect: Connect, start: Start, upstream: RefusingMessages) -> None:
    proxy = await start(upstream=upstream.url, mode="observe")
    answered = await posted(connect, proxy, body_of(result(REFERENCE), tools=[SEARCH]))
    assert answered.status == 400
    assert len(upstream.requests) == 1


async def test_upstream_is_forgotten_when_it_cannot_be_reached(connect: Connect, start: Start) -> None:
    async with RefusingMessages(OLD) as upstream:
        proxy = await start(upstream=upstream.url)
        await posted(connect, proxy, body_of(tools=[SEARCH]))
        await posted(connect, proxy, body_of(tools=[SEARCH]))
        assert ["tools" in post for post in upstream.posts] == [True, False, False], "the second knows"
    gone = await posted(connect, proxy, body_of(tools=[SEARCH]))
    assert gone.status == 502
