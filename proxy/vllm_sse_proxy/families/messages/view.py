"""What the client of one message stream has been sent, and so believes.

Only the engine's exit writes it, for every event that really goes out. It is total: an event that makes no sense, which is
possible only while repairs are switched off, changes nothing that matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.error_reports import failure_of
from vllm_sse_proxy.families.messages.events import delta_of, delta_type
from vllm_sse_proxy.families.partial_json import JsonScanner
from vllm_sse_proxy.families.texts.passing_text import PassingText
from vllm_sse_proxy.stream.ending import Ending
from vllm_sse_proxy.stream.view import TextView, View

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.ending import Failure
    from vllm_sse_proxy.stream.event import Body, Event

_BLOCK_SIZE: Final = 256
"""What a block takes beside its text, counted like so many characters of it: bounds how many blocks are remembered."""


class InputText(TextView):
    """The input of a call.

    :ivar scanner: knows whether it is whole.
    """

    __slots__ = ("scanner",)

    def __init__(self) -> None:
        super().__init__()
        self.scanner = JsonScanner()

    def grow(self, piece: str) -> None:
        """Add a piece that was emitted."""
        self.scanner.feed(piece)
        super().grow(piece)


class BlockView:
    """One content block.

    :ivar input: the JSON of its input; None for what is not a call.
    :ivar text: its text, its thinking, or its input.
    :ivar is_signed: whether a signature was sent for it.
    """

    __slots__ = ("id", "index", "input", "is_signed", "name", "text", "type")

    def __init__(self, index: int, content: Body) -> None:
        type_, id_, name = content.get("type"), content.get("id"), content.get("name")
        self.index = index
        self.type = type_ if type(type_) is str else ""
        self.id = id_ if type(id_) is str else ""
        self.name = name if type(name) is str else ""
        kind = grammar.BLOCKS.get(self.type)
        self.input = InputText() if kind is not None and kind.inputs else None
        self.text: TextView = self.input or PassingText()
        self.is_signed = False


class MessageView(View):
    """What the client knows of one message.

    :ivar is_started: ``message_start`` was emitted.
    :ivar id: the message's id.
    :ivar blocks: all content blocks, in order.
    :ivar open: the one that is open.
    :ivar calls: the calls among them, by their ids.
    :ivar counts: the last counts of its usage, by name.
    :ivar has_result: ``message_delta`` was emitted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_started = False
        self.id = ""
        self.blocks: list[BlockView] = []
        self.open: BlockView | None = None
        self.calls: dict[str, BlockView] = {}
        self.counts: dict[str, int] = {}
        self.has_result = False
        self._is_cut = False
        self._error: Any = None

    @property
    def has_calls(self) -> bool:
        """Whether a tool of the client's was called."""
        return any(block.type == grammar.TOOL_USE for block in self.blocks)

    @property
    def has_text(self) -> bool:
        """Whether there is any answer: text that is not blank."""
        return any(
            isinstance(block.text, PassingText) and block.type == grammar.TEXT and not block.text.is_blank
            for block in self.blocks
        )

    @property
    def response_id(self) -> str | None:
        """Messages cannot be asked for by their id."""
        return None

    def apply(self, event: Event) -> None:
        """Take note of an event that goes out."""
        type_, body = event.type, event.body
        if not event.inserted and type_ not in (grammar.ERROR, grammar.PING):
            self.heard = True
        if type_ == grammar.BLOCK_DELTA:
            self._grow(event)
        elif type_ == grammar.BLOCK_START:
            self._start_block(body)
        elif type_ == grammar.BLOCK_STOP:
            self.open = None
        elif type_ == grammar.MESSAGE_START:
            self._start(body)
        elif type_ == grammar.MESSAGE_DELTA:
            self._note_result(event)
        elif type_ == grammar.MESSAGE_STOP:
            self.outcome = Ending.INCOMPLETE if self._is_cut else Ending.COMPLETED
        elif type_ == grammar.ERROR:
            self._error = body.get("error")
            self.reported = not event.inserted
            self.outcome = Ending.FAILED

    def _start(self, body: Body) -> None:
        message = body.get("message")
        self.is_started = True
        if type(message) is not dict:
            return
        id_ = message.get("id")
        self.id = id_ if type(id_) is str else ""
        self._count(message.get("usage"))

    def _start_block(self, body: Body) -> None:
        content = body.get("content_block")
        block = BlockView(len(self.blocks), content if type(content) is dict else {})
        self.blocks.append(block)
        self.open = block
        if block.input is not None:
            self.calls[block.id] = block
        self.size += _BLOCK_SIZE + len(block.id) + len(block.name)

    def _grow(self, event: Event) -> None:
        words, block = self.words_of(event), self.open
        if words is not None and block is not None:
            block.text.grow(words)
            self.size += len(words)
        elif block is not None and delta_type(event) == grammar.SIGNATURE_DELTA:
            block.is_signed = True

    def _note_result(self, event: Event) -> None:
        self.has_result = True
        reason = delta_of(event).get("stop_reason")
        self._is_cut = type(reason) is str and reason in grammar.CUT_REASONS
        self._count(event.body.get("usage"))

    def _count(self, usage: object) -> None:
        if type(usage) is not dict:
            return
        for name in grammar.COUNTS:
            count = usage.get(name)
            if type(count) is int:
                self.counts[name] = count

    def text_of(self, event: Event) -> TextView | None:
        """Return the text of the open block; None for a call: every piece of its input is walked, and nothing is learned."""
        block = self.open
        if block is None or block.input is not None or event.type != grammar.BLOCK_DELTA:
            return None
        return block.text

    def words_of(self, event: Event) -> str | None:
        """Return the words that a delta adds to a text, thinking or input."""
        member = grammar.WORDS_OF_DELTA.get(delta_type(event))
        words = delta_of(event).get(member) if member is not None else None
        return words if type(words) is str else None

    def failure(self) -> Failure:
        """Return what upstream's error says."""
        return failure_of(self._error)
