"""Content blocks of a request: the repairs of single blocks, and the texts that take the place of what vLLM cannot read."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

MAX_CHARACTERS: Final = 4000
"""Of what a tool printed or found: a thousand tokens, enough to go on with, and no whole book."""


def text_block(text: str, before: Body | None = None) -> Body:
    """Return a text block.

    :param before: the block whose place it takes: a ``cache_control`` stays.
    """
    block: Body = {"type": "text", "text": text}
    control = None if before is None else before.get("cache_control")
    return block if control is None else {**block, "cache_control": control}


def blocks_of(message: object) -> list[Any]:
    """Return the content blocks of a message or a result; empty if its content is a text, or nothing."""
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []


def messages_of(body: Body) -> list[Any]:
    """Return the messages of a request; empty if that is not a list."""
    messages = body.get("messages")
    return messages if isinstance(messages, list) else []


def in_results(body: Body, types: frozenset[str]) -> bool:
    """Return whether a tool's result holds a block of one of these types. Asked of every request."""
    for message in messages_of(body):
        for block in blocks_of(message):
            if isinstance(block, dict) and block.get("type") == "tool_result":
                for inner in blocks_of(block):
                    if type_of(inner) in types:
                        return True
    return False


def joined_texts(blocks: object) -> str:
    """Return the texts among some blocks, a line each; a text as it is."""
    if isinstance(blocks, str):
        return blocks
    listed = blocks if isinstance(blocks, list) else []
    return "\n".join(
        filter(None, (text_of(block.get("text")) for block in listed if type_of(block) == "text"))
    )


def shortened(text: str) -> str:
    """Return a text, without its end if it is long."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]} […]"


class BlockRepair(RequestRepair):
    """A repair of single blocks. A message that is left without any goes.

    :cvar in_messages: whether it looks at the blocks of messages.
    :cvar in_tool_results: whether it looks at those of tools' results.
    """

    __slots__ = ()

    in_messages: ClassVar[bool] = True
    in_tool_results: ClassVar[bool] = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with the blocks replaced; None if none changes, or no message would be left."""
        changed = False
        kept: list[Any] = []
        for message in messages_of(body):
            blocks = blocks_of(message)
            new = self._blocks(blocks, facts) if blocks else None
            changed = changed or new is not None
            if new is None:
                kept.append(message)
            elif new:
                kept.append({**message, "content": new})
        return Repaired({**body, "messages": kept}) if changed and kept else None

    def _blocks(self, blocks: list[Any], facts: Facts) -> list[Any] | None:
        """Return the blocks of a message after the repair; None if none changes."""
        changed = False
        kept: list[Any] = []
        for block in blocks:
            new = self._block(block, facts) if isinstance(block, dict) else None
            changed = changed or new is not None
            kept += [block] if new is None else new
        return kept if changed else None

    def _block(self, block: Body, facts: Facts) -> list[Any] | None:
        if self.in_messages and (new := self.replacement(block, facts)) is not None:
            return new
        if not self.in_tool_results or block.get("type") != "tool_result":
            return None
        changed = False
        kept: list[Any] = []
        for inner in blocks_of(block):
            new = self.replacement(inner, facts) if isinstance(inner, dict) else None
            changed = changed or new is not None
            kept += [inner] if new is None else new
        return [{**block, "content": kept}] if changed else None

    @abstractmethod
    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:
        """Return the blocks that take this one's place; None leaves it as it is."""


class LeftOutBlocks(BlockRepair):
    """A repair that leaves out the blocks of messages of one type, which old releases refuse.

    :cvar left_out: the type.
    """

    __slots__ = ()

    in_tool_results: ClassVar[bool] = False
    left_out: ClassVar[str]

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - step() has looked at them
        """Return nothing for such a block."""
        return [] if type_of(block) == self.left_out else None
