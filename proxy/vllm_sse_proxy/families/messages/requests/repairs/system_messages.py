"""Instructions in the middle of the conversation.

Claude Code, from 2.1.154 on, sends what it has to say beside the user as messages with the role ``system``: its environment,
its skills, what is left of the context. Releases that know two roles answer 400 to all of it. To models that do not know such
messages Claude Code sends the same words in a ``<system-reminder>`` of the user's. So does this repair, at the same place: the
beginning of the prompt stays as it is from turn to turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import messages_of, text_block
from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class SystemMessages(RequestRepair):
    """Have the user say what the system says in between."""

    __slots__ = ()

    name: ClassVar = "system_messages"
    summary: ClassVar = "`system` messages among the others become reminders in the user's"
    lossless: ClassVar = True
    accepted_since: ClassVar = (0, 24)

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - step() has looked at them
        """Return the request without such messages; None if it has none, or one says something else than text."""
        kept: list[Any] = []
        found = False
        for message in messages_of(body):
            if not isinstance(message, dict) or message.get("role") != "system":
                kept.append(message)
                continue
            reminders = _reminders(message.get("content"))
            if reminders is None:
                return None
            found = True
            if reminders:
                _add(kept, reminders)
        return Repaired({**body, "messages": kept}) if found and kept else None


def _add(kept: list[Any], reminders: list[Body]) -> None:
    """Put reminders into the user's message before them; one of their own if there is none."""
    last = kept[-1] if kept else None
    if not isinstance(last, dict) or last.get("role") != "user":
        kept.append({"role": "user", "content": reminders})
        return
    content = last.get("content")
    before = content if isinstance(content, list) else [text_block(text_of(content))]
    kept[-1] = {**last, "content": [*before, *reminders]}


def _reminders(content: object) -> list[Body] | None:
    """Return what a system message says as blocks of the user's; None if something in it is not text."""
    blocks = content if isinstance(content, list) else [text_block(text_of(content))]
    made: list[Body] = []
    for block in blocks:
        if type_of(block) != "text":
            return None
        text = text_of(block.get("text"))
        if text:
            made.append(text_block(f"<system-reminder>\n{text}\n</system-reminder>", block))
    return made
