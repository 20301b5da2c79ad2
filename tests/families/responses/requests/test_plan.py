from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.support.refusals import Server
from tests.support.requests import captured
from vllm_sse_proxy.families.requests import Facts, Post, RequestAttempts, Step
from vllm_sse_proxy.families.responses.requests import REQUEST_REPAIRS, ResponsesPlanner

PLANNER = ResponsesPlanner()
NO_FACTS = Facts()
FUNCTION = {"type": "function", "name": "f", "description": "", "parameters": {}}
CRM = {"type": "namespace", "name": "crm", "tools": [FUNCTION]}
WEB = {"type": "web_search"}
REFUSAL = b'{"error":{"message":"no"}}'


def request(**members: Any) -> dict[str, Any]:
    return {"model": "m", "input": "Hi", **members}


def attempts_for(
    body: dict[str, Any], facts: Facts = NO_FACTS, remembered: Step = Step.FIRST
) -> RequestAttempts:
    return RequestAttempts(PLANNER, orjson.dumps(body), body, facts, remembered)


def steps_of(attempts: RequestAttempts, status: int = 400, refusal: bytes = REFUSAL) -> list[str]:
    """Refuse everything; return the steps that were tried."""
    post: Post | None = attempts.first()
    steps = []
    while post is not None:
        steps.append(post.step.name)
        post = attempts.after(status, refusal)
    return steps


class TestSteps:
    def test_as_it_came_then_lossless_then_lossy(self) -> None:
        attempts = attempts_for(request(tools=[CRM, WEB, FUNCTION]))
        assert steps_of(attempts) == ["FIRST", "LOSSLESS", "LOSSY"]
        first, lossless, lossy = attempts.posts
        assert first.body == orjson.dumps(request(tools=[CRM, WEB, FUNCTION]))
        assert (first.names, first.conversion) == ((), None)
        assert lossless.names == ("namespace_tools",)
        assert lossy.names == ("namespace_tools", "web_search_tool")
        assert [tool["type"] for tool in json.loads(lossy.body)["tools"]] == ["function", "function"]
        assert attempts.decisive == 0

    def test_nothing_to_repair(self) -> None:
        assert steps_of(attempts_for(request(tools=[FUNCTION]))) == ["FIRST"]

    def test_only_lossless(self) -> None:
        assert steps_of(attempts_for(request(tools=[CRM]))) == ["FIRST", "LOSSLESS"]

    def test_only_lossy(self) -> None:
        assert steps_of(attempts_for(request(tools=[WEB]))) == ["FIRST", "LOSSY"]

    def test_never_more_than_three_posts(self) -> None:
        for body in captured().values():
            for remembered in (Step.FIRST, Step.LOSSLESS, Step.LOSSY):
                attempts = attempts_for(body, remembered=remembered)
                steps_of(attempts)
                assert 1 <= len(attempts.posts) <= 3
                bodies = [post.body for post in attempts.posts]
                assert len(set(bodies)) == len(bodies), "nothing is sent twice"

    def test_words_of_a_refusal_change_what_is_sent_next(self) -> None:
        attempts = attempts_for(request(tools=[WEB]))
        attempts.first()
        post = attempts.after(400, b'{"error":{"message":"tool type \'web_search\' is not supported."}}')
        assert post is not None
        assert attempts.facts.harmony
        assert json.loads(post.body)["tools"] == [{"type": "web_search_preview"}]

    def test_what_must_not_wait(self) -> None:
        attempts = attempts_for(request(truncation=None))
        first = attempts.first()
        assert json.loads(first.body) == request()
        assert first.names == ("fatal_nulls",)
        assert attempts.after(400, REFUSAL) is None


class TestRefusals:
    @pytest.mark.parametrize("status", [400, 422, 501])
    def test_statuses_of_a_request_that_was_not_run(self, status: int) -> None:
        assert steps_of(attempts_for(request(tools=[CRM])), status) == ["FIRST", "LOSSLESS"]

    @pytest.mark.parametrize(
        "status", [200, 202, 301, 401, 403, 404, 405, 408, 409, 413, 429, 500, 502, 503, 504, 529]
    )
    def test_other_statuses(self, status: int) -> None:
        assert steps_of(attempts_for(request(tools=[CRM])), status) == ["FIRST"]

    def test_500_with_a_feature_that_old_releases_answer_so(self) -> None:
        custom = {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": ""}
        body = request(input=[{"role": "user", "content": "Hi"}, custom])
        assert steps_of(attempts_for(body), 500)[:2] == ["FIRST", "LOSSLESS"]
        assert steps_of(attempts_for({**body, "background": True}), 500) == ["FIRST"]
        assert steps_of(attempts_for({**body, "background": True}), 400)[:2] == ["FIRST", "LOSSLESS"]

    @pytest.mark.parametrize("refusal", [b"", b"<html>Bad Request</html>", b"[1]", b'{"error":'])
    def test_answers_of_others(self, refusal: bytes) -> None:
        assert steps_of(attempts_for(request(tools=[CRM])), 400, refusal) == ["FIRST"]

    def test_features_that_answer_500(self) -> None:
        named = {repair.name for repair in REQUEST_REPAIRS if repair.answers_500}
        assert PLANNER.answers_500({"item_references"})
        assert not PLANNER.answers_500({"namespace_tools", "web_search_tool"})
        assert named >= {
            "item_references",
            "custom_tools",
            "message_shapes",
            "efforts",
            "json_objects",
            "call_history",
        }


def test_items_may_be_looked_up_after_the_first_refusal() -> None:
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": "a"}
    attempts = attempts_for(request(input=[{"type": "item_reference", "id": "msg_1"}]))
    attempts.first()
    attempts.facts = replace(attempts.facts, items={"msg_1": item})
    post = attempts.after(400, REFUSAL)
    assert post is not None
    assert json.loads(post.body)["input"][0]["role"] == "assistant"


class TestRemembered:
    def test_lossless(self) -> None:
        attempts = attempts_for(request(tools=[CRM, WEB, FUNCTION]), remembered=Step.LOSSLESS)
        assert steps_of(attempts) == ["LOSSLESS", "LOSSY", "FIRST"]
        assert attempts.decisive == 2, "the client gets the refusal of what it sent"

    def test_lossy(self) -> None:
        attempts = attempts_for(request(tools=[CRM, WEB, FUNCTION]), remembered=Step.LOSSY)
        assert steps_of(attempts) == ["LOSSY", "FIRST", "LOSSLESS"]
        assert attempts.decisive == 1

    def test_what_a_refusal_shows_is_used_at_once(self) -> None:
        attempts = attempts_for(request(tools=[WEB, FUNCTION]), remembered=Step.LOSSY)
        attempts.first()
        post = attempts.after(400, b'{"error":{"message":"Unknown input type: x"}}')
        assert post is not None
        assert post.step is Step.LOSSY
        assert json.loads(post.body)["tools"] == [{"type": "web_search_preview"}, FUNCTION]

    def test_a_request_that_has_nothing_of_it(self) -> None:
        attempts = attempts_for(request(), remembered=Step.LOSSY)
        assert attempts.first().body == orjson.dumps(request())
        assert attempts.decisive == 0


class TestBytes:
    def test_numbers_keep_their_spelling(self) -> None:
        raw = (
            b'{ "temperature": 1.0, "seed": 12345678901234567890123, "tools": [{"type":"namespace","name":"crm","tools":'
            b'[{"type":"function","name":"f","parameters":{"maximum":1e5}}]}], "input": "Hi" }'
        )
        attempts = RequestAttempts(PLANNER, raw, json.loads(raw), Facts())
        assert attempts.first().body is raw
        post = attempts.after(400, REFUSAL)
        assert post is not None
        assert post.body == (
            b'{"temperature":1.0,"seed":12345678901234567890123,"tools":[{"type":"function","name":"crm__f",'
            b'"parameters":{"maximum":1e5}}],"input":"Hi"}'
        )
        assert post.conversion.restored_response({"tools": []})["tools"][0]["tools"][0]["parameters"] == {
            "maximum": 100000.0
        }

    @pytest.mark.parametrize("raw", [b"\xff", b'{"input":NaN}', b"[]"])
    def test_bytes_that_cannot_be_read(self, raw: bytes) -> None:
        attempts = RequestAttempts(PLANNER, raw, request(tools=[CRM], background=None), Facts())
        assert attempts.first().body == raw
        assert attempts.after(400, REFUSAL) is None

    def test_bytes_that_cannot_be_written(self) -> None:
        deep: Any = "end"
        for _ in range(300):
            deep = {"properties": deep}
        body = request(tools=[{**CRM, "tools": [{**FUNCTION, "parameters": deep}]}])
        attempts = RequestAttempts(PLANNER, json.dumps(body).encode(), body, Facts())
        assert steps_of(attempts) == ["FIRST"]

    def test_the_same_request_is_the_same_bytes(self) -> None:
        for body in captured().values():
            once, again = (attempts_for(body) for _ in range(2))
            assert steps_of(once) == steps_of(again)
            assert [post.body for post in once.posts] == [post.body for post in again.posts]


def test_a_request_that_only_seems_urgent() -> None:
    """An instruction that is not text is not moved."""
    picture = {"type": "input_image", "image_url": "data:,"}
    body = request(input=[{"role": "developer", "content": [picture]}, {"role": "user", "content": "Hi"}])
    attempts = attempts_for(body, Facts(release=(0, 12), harmony=False))
    assert attempts.first().body == orjson.dumps(body)


class TestPlanner:
    def test_repairs_that_are_switched_off(self) -> None:
        planner = ResponsesPlanner(disabled={"namespace_tools"})
        assert planner.features(request(tools=[CRM, WEB]), Facts()) == {"web_search_tool"}
        assert PLANNER.features(request(tools=[CRM, WEB]), Facts()) == {"namespace_tools", "web_search_tool"}

    def test_repairs_that_are_switched_on(self) -> None:
        picture = {"type": "input_image", "image_url": "data:,", "detail": "auto"}
        body = request(input=[{"role": "user", "content": [picture]}])
        facts = Facts(harmony=True)
        assert not PLANNER.is_urgent(body, facts)
        planner = ResponsesPlanner(enabled={"harmony_pictures"})
        assert planner.is_urgent(body, facts)
        assert planner.repaired(body, facts, Step.FIRST).names == ("harmony_pictures",)
        assert not planner.is_urgent(body, Facts())

    def test_what_is_urgent(self) -> None:
        more_tools = request(input=[{"type": "additional_tools", "tools": [FUNCTION]}])
        assert PLANNER.is_urgent(more_tools, Facts())
        assert not PLANNER.is_urgent(more_tools, Facts(harmony=False))
        assert not PLANNER.is_urgent(request(tools=[CRM]), Facts())
        assert PLANNER.is_urgent(request(tools=[CRM]), Facts(release=(0, 24)))
        assert not PLANNER.is_urgent(request(tools=[CRM]), Facts(release=(0, 32)))
        assert PLANNER.is_urgent(request(background=None), Facts(release=(0, 32)))

    def test_being_asked_about_many_upstreams(self) -> None:
        for minor in range(200):
            assert not PLANNER.is_urgent(request(), Facts(release=(9, minor)))

    def test_urgent_is_what_would_be_repaired_first(self) -> None:
        for body in captured().values():
            for facts in (
                Facts(),
                Facts(release=(0, 12), harmony=False),
                Facts(release=(0, 24)),
                Facts(harmony=True),
            ):
                assert PLANNER.is_urgent(body, facts) is bool(PLANNER.repaired(body, facts, Step.FIRST).names)

    def test_background_and_stream_are_facts(self) -> None:
        assert attempts_for(request(background=True, stream=True)).facts == Facts(
            background=True, stream=True
        )
        assert attempts_for(request(background="yes")).facts == Facts()


def test_codex_on_harmony() -> None:
    """Codex with default settings: two posts more at first, none once it is known what passes."""
    server = Server("0.32", harmony=True)
    body = captured()["codex/first-turn"]
    cold = attempts_for(body)
    post = cold.first()
    while (answer := server.answer(json.loads(post.body)))[0] != 200:
        following = cold.after(answer[0], server.refusal(*answer))
        assert following is not None
        post = following
    assert len(cold.posts) == 3
    warm = attempts_for(body, cold.facts, post.step)
    assert warm.first().body == post.body
    assert server.answer(json.loads(post.body))[0] == 200
