"""An opening tag that was left at the beginning of a thought: one idea of it, for the judges and the repairs (C25, C36)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import chunk_streams, messages
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.markup import left_opening, left_tag
from vllm_sse_proxy.families.messages import conformance as of_messages

PIECES = st.lists(
    st.sampled_from(
        [
            "<think>",
            "[THINK]",
            "<mm:think>",
            "</think>",
            "<th",
            "ink>",
            "\n",
            " ",
            "I",
            "see",
            ",",
            '"',
            "[",
            "é",
        ]
    ),
    min_size=1,
    max_size=9,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("<think>\nI", 7),
        ("<think> \t\r\nI", 7),
        ("<think>I", 7),
        ("[THINK]1", 7),
        ("<mm:think>\u8003", 10),
        (" \n<think>\n", 9),
        ("<think><think> is", 7),
        ("<think> [THINK]", 7),
        ("<think>**Plan**", 7),
        ("<think>(First", 7),
        ("<think>“So”", 7),
        ("<think>” is", 0),
        ("<think>。", 0),
        ("<think>\u00a0is", 0),
        ("<think>-tag", 0),
        ("<think> I", 0),
        ("<think>,", 0),
        ("<think></think>", 0),
        ("<think>" + " " * 9, 0),
        ("</think>\n", 0),
        ("<thing", 0),
        ("I <think>\n", 0),
        ("", 0),
        ("\n", 0),
        ("<th", -1),
        ("\n<", -1),
        ("<think>", -1),
        ("<think> ", -1),
        ("<think>" + " " * 8 + "<th", -1),
    ],
)
def test_what_follows_decides(text: str, size: int) -> None:
    assert left_opening(text) == size


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("One. <think>\nHm.\n</think>\nTwo.", "<think>"),
        ("One. [THINK]Hm", "[THINK]"),
        ("Hm.</think>\n\nOne", "</think>"),
        ("Hm.\n  </think> One", "</think>"),
        ("Hm.</think>", "</think>"),
        ("a <think> begins it, </think> ends it.", None),
        ("`<think>` and `</think>`", None),
        ("is it <think>, or </think>?", None),
        ("<think> ", None),
        ("", None),
    ],
)
def test_an_answer_may_mention_tags(text: str, tag: str | None) -> None:
    assert left_tag(text) == tag


@given(PIECES)
def test_the_judges_see_what_is_repaired_in_answers(pieces: list[str]) -> None:
    """They may say more: a tag that nobody closes stays."""
    words = [json.dumps({"content": piece}) for piece in pieces]
    made = chunk_streams.repaired(
        chunk_streams.wire(
            "\n".join([chunk_streams.ROLE, '{"reasoning": "Hm"}', *words, "{} -> stop", "[DONE]"])
        ),
        conforming=False,
    )
    text = "".join(pieces)
    assert not made.repairs or left_tag(text)
    lines = [
        json.dumps(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": piece}}
        )
        for piece in pieces
    ]
    thought = ["think 0", "think+ 0 Hm", "sign 0 s", "stop 0"]
    stream = messages.wire(
        "\n".join(["start", *thought, "text 1", *lines, "stop 1", "end max_tokens", "over"])
    )
    assert not messages.run(stream)[1].tally.repairs or left_tag(text)


@given(PIECES)
def test_what_the_judge_of_messages_says_is_what_is_repaired(pieces: list[str]) -> None:
    """Not more: what the judge lets pass stays; not less: nothing of it is left."""
    lines = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": piece}}
        for piece in pieces
    ]
    text = "\n".join(
        ["start", "think 0", *map(json.dumps, lines), "sign 0 s", "stop 0", "end max_tokens", "over"]
    )
    found = [one.rule for one in of_messages.check_stream(messages.wire(text))]
    made, normalizer = messages.run(messages.wire(text))
    assert found in ([], ["thought_markup"])
    assert set(normalizer.tally.repairs) == ({"thought_markers"} if found else set())
    assert found or made == messages.wire(text)
    assert of_messages.check_stream(made) == []
    assert messages.run(made)[0] == made


@given(PIECES)
def test_what_the_judge_of_chat_says_is_what_is_repaired(pieces: list[str]) -> None:
    lines = [json.dumps({"reasoning": piece}) for piece in pieces]
    text = "\n".join([chunk_streams.ROLE, *lines, '{"content": "Hi"}', "{} -> stop", "[DONE]"])
    found = [one.rule for one in chat.check_stream(chunk_streams.wire(text))]
    made = chunk_streams.repaired(text)
    assert found in ([], ["thought_markup"])
    assert set(made.repairs) == ({"misplaced_reasoning"} if found else set())
    assert found or made.made == chunk_streams.wire(text)
    assert chunk_streams.repaired(made.made).made == made.made
