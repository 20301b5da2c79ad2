from __future__ import annotations

import json

import pytest

from tests.support.refusals import SERVERS
from tests.support.requests import captured
from vllm_sse_proxy.families.requests import Facts, names_gpt_oss, release_of
from vllm_sse_proxy.families.requests.evidence import after_refusal, is_json_object, message_of

NOTHING = Facts()


def refusal(message: object) -> bytes:
    return json.dumps({"error": {"message": message, "code": 400}}).encode()


@pytest.mark.parametrize(
    "message",
    [
        "tool type 'namespace' is not supported. (parameter=tools)",
        "tool type web_search not supported",
        "tool type web_search not supported None",
        "Unknown input type: item_reference None",
        "No call message found for call_1",
        "1 validation error for Message\ncontent.0\n  Input should be a valid dictionary",
        "reasoning_effort='xhigh' is not supported by Harmony. Supported values are: high, medium, low.",
        "logprobs are not supported with gpt-oss models",
        "Only 'auto' or 'none' tool_choice is supported in response API with Harmony",
        "Only 'auto' tool_choice is supported in response API with Harmony None",
        "'text'",
        "'content' None",
        "'xhigh'",
    ],
)
def test_harmony(message: str) -> None:
    assert after_refusal(NOTHING, refusal(message)) == Facts(harmony=True)


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported chat content part type: 'input_file'. Supported types: audio_embeds, …",
        "Unknown part type: input_file None",
        "Unsupported input item type: shell_call (parameter=input)",
        "Encrypted content is not supported. None",
        "'dict object' has no attribute 'name'",
        "'role'",
    ],
)
def test_the_simple_path(message: str) -> None:
    assert after_refusal(NOTHING, refusal(message)) == Facts(harmony=False)


@pytest.mark.parametrize(
    "message",
    [
        "System message must be at the beginning.",
        "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported!",
        "System role not supported",
        "Unexpected message role.",
        "Unknown role: developer",
    ],
)
def test_a_chat_template(message: str) -> None:
    assert after_refusal(NOTHING, refusal(message)) == Facts(harmony=False, strict_template=True)


@pytest.mark.parametrize(
    "message", ["tiny is not a multimodal model", "model is not a multimodal model None"]
)
def test_a_model_that_cannot_see(message: str) -> None:
    assert after_refusal(NOTHING, refusal(message)) == Facts(harmony=False, sees_pictures=False)


@pytest.mark.parametrize(
    "message",
    [
        "",
        None,
        "The model is overloaded",
        "215 validation errors: {'type': 'string_type', 'input': [{'text': 'is not supported by Harmony'}]}",
        "This model's maximum context length is 2048 tokens. tool type 'namespace' is not supported",
        "'textual'",
    ],
)
def test_words_that_say_nothing(message: object) -> None:
    """Above all words of the user's, which vLLM quotes."""
    assert after_refusal(NOTHING, refusal(message)) is NOTHING


def test_what_is_known_stays() -> None:
    known = Facts(release=(0, 32), sees_pictures=True, background=True)
    assert after_refusal(known, refusal("'role'")) == Facts(
        release=(0, 32), sees_pictures=True, background=True, harmony=False
    )


def test_no_refusal_of_a_captured_request_misleads() -> None:
    for server in SERVERS:
        for body in captured().values():
            status, message = server.answer(body)
            facts = after_refusal(NOTHING, server.refusal(status, message))
            assert facts.harmony in (None, server.harmony)


def test_bodies_of_refusals() -> None:
    assert message_of(b'{"object":"error","message":"no"}') == "no"
    assert message_of(b'{"error":"no"}') == ""
    assert message_of(b'["no"]') == ""
    assert message_of(b"no") == ""
    assert is_json_object(b"{}")
    assert not is_json_object(b"[]")
    assert not is_json_object(b"<html>")


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("0.32.0", (0, 32)),
        ("v0.12.0+cpu", (0, 12)),
        ("0.30.1.dev152+gabc", (0, 30)),
        ("1.0", (1, 0)),
        ("0.1.dev1+g0123456", None),  # a build from a checkout without tags
        ("dev", None),
        ("", None),
        (None, None),
        (32, None),
    ],
)
def test_releases(version: object, release: tuple[int, int] | None) -> None:
    assert release_of(version) == release


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("openai/gpt-oss-120b", True),
        ("/models/GPT_OSS-20b", True),
        ("gptoss", True),
        ("gpt-5.5", False),
        (None, False),
    ],
)
def test_names_of_models(model: object, named: bool) -> None:  # noqa: FBT001 - a parameter
    assert names_gpt_oss(model) is named


def test_releases_are_compared() -> None:
    facts = Facts(release=(0, 24))
    assert facts.is_before((0, 26))
    assert not facts.is_before((0, 24))
    assert facts.is_since((0, 24))
    assert not facts.is_since((0, 26))
    assert not Facts().is_before((9, 9))
    assert not Facts().is_since((0, 0))


def test_how_much_room_there_is() -> None:
    newer = "max_completion_tokens=64000 cannot be greater than max_model_len=32768. Please request fewer output tokens."
    older = (
        "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and "
        "your request has 20000 input tokens (32000 > 32768 - 20000)."
    )
    oldest = "max_completion_tokens=64000cannot be greater than max_model_len=max_total_tokens=32768. Please request"
    for message, room in (
        (newer, 32768),
        (oldest, 16384),
        (older, 12768),
        (older.replace("20000", "40000"), None),
        ("else", None),
    ):
        refusal = json.dumps({"error": {"message": message}}).encode()
        assert after_refusal(Facts(), refusal).room == room


def test_that_there_are_no_budgets() -> None:
    said = (
        "thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser"
    )
    assert after_refusal(Facts(), json.dumps({"error": {"message": said}}).encode()) == Facts(budgets=False)
