"""Instructions in the middle of the conversation."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.system_messages import SystemMessages
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = SystemMessages()
made = made_by(REPAIR)


def reminder(words: str, **more: object) -> dict[str, object]:
    return text(f"<system-reminder>\n{words}\n</system-reminder>", **more)


SYSTEM = {"role": "system", "content": "Be brief."}


def test_the_user_says_it() -> None:
    asked = {"role": "user", "content": [text("Hi.")]}
    assert made(messages=[asked, SYSTEM]) == {
        "messages": [{"role": "user", "content": [text("Hi."), reminder("Be brief.")]}]
    }
    plain = {"role": "user", "content": "Hi."}
    assert made(messages=[plain, SYSTEM]) == {
        "messages": [{"role": "user", "content": [text("Hi."), reminder("Be brief.")]}]
    }


def test_it_stands_alone_after_an_answer() -> None:
    answer = {"role": "assistant", "content": "Hello."}
    alone = {"role": "user", "content": [reminder("Be brief.")]}
    assert made(messages=[answer, SYSTEM]) == {"messages": [answer, alone]}
    assert made(messages=[SYSTEM]) == {"messages": [alone]}


def test_blocks_keep_their_cache_control() -> None:
    control = {"cache_control": {"type": "ephemeral"}}
    blocks = [text("One.", **control), text("Two."), text("")]
    assert made(messages=[{"role": "system", "content": blocks}]) == {
        "messages": [{"role": "user", "content": [reminder("One.", **control), reminder("Two.")]}]
    }


def test_nothing_is_guessed() -> None:
    assert made(messages=[{"role": "user", "content": "Hi."}, "odd"]) is None
    assert made(messages=[{"role": "system", "content": [{"type": "image"}]}]) is None
    assert made(messages=[{"role": "system", "content": ""}]) is None, "no message would be left"
    assert made() is None
    assert REPAIR.step(UNKNOWN) is Step.LOSSLESS
    assert REPAIR.step(Facts(release=(0, 24))) is Step.NEVER
