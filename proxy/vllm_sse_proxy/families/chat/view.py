"""What the client of a chat completion stream has been sent: its choices, their texts, and their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.chat.chunks import (
    CALL,
    REASONING,
    arguments_of,
    delta_of,
    id_of,
    name_of,
    number_of,
    piece_of,
    text_name,
    whole_logprobs,
    words_of,
)
from vllm_sse_proxy.families.chat.grammar import REASONING_NAMES
from vllm_sse_proxy.families.chunks import TEXT, ChoiceView, ChunkView, choice_of, index_of
from vllm_sse_proxy.families.partial_json import JsonScanner
from vllm_sse_proxy.stream.view import TextView

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body, Event

MOST_CHOICES: Final = 64
"""Choices of a stream whose deltas may be rewritten by their bytes: what decides that looks at all of them."""
_SIZE_OF_CALL: Final = 1000
"""What a call costs in memory beside its arguments, in characters."""


class ArgumentsView(TextView):
    """The arguments of a call, as far as they were emitted.

    :ivar scanner: says how far they are one JSON value.
    """

    __slots__ = ("scanner",)

    def __init__(self) -> None:
        super().__init__()
        self.scanner = JsonScanner()

    def grow(self, piece: str) -> None:
        """Add a piece that was emitted."""
        super().grow(piece)
        self.scanner.feed(piece)


class CallView:
    """One call, as the client has it."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, id_: str, name: str) -> None:
        self.id = id_
        self.name = name
        self.arguments = ArgumentsView()


class ChatChoiceView(ChoiceView):
    """One choice, as the client has it.

    :ivar calls: by their numbers, 0, 1, 2…
    """

    __slots__ = ("calls",)

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[CallView] = []

    def call(self, number: int) -> CallView | None:
        """Return the call of a number; None if it has not begun."""
        return self.calls[number] if 0 <= number < len(self.calls) else None


_NOTHING: Final = ChatChoiceView()


class ChatView(ChunkView):
    """What the client of one stream knows."""

    def new_choice(self) -> ChoiceView:
        """Return the view of a choice that has not begun."""
        return ChatChoiceView()

    def choice(self, index: int) -> ChatChoiceView:
        """Return a choice; one without anything if it has not begun."""
        known = self._choices.get(index)
        return known if isinstance(known, ChatChoiceView) else _NOTHING

    def open_calls(self) -> list[CallView] | None:
        """Return the last call of each choice that is not finished; None if there are more choices than anybody asks for."""
        if len(self._choices) > MOST_CHOICES:
            return None
        return [
            view.calls[-1]
            for view in self._choices.values()
            if isinstance(view, ChatChoiceView) and view.finish is None and view.calls
        ]

    def apply_content(self, view: ChoiceView, choice: Body) -> None:
        """Take note of the texts and calls of a delta."""
        delta = delta_of(choice)
        for name in ("content", "refusal"):
            words = delta.get(name)
            if type(words) is str and words:
                self.grow(view.text(name), words)
        for name in REASONING_NAMES:
            words = delta.get(name)
            if type(words) is str and words:
                self.grow(view.text(REASONING), words)
                break
        pieces = delta.get("tool_calls")
        if type(pieces) is list and isinstance(view, ChatChoiceView):
            for piece in pieces:
                if type(piece) is dict:
                    self._apply_piece(view, piece)

    def _apply_piece(self, view: ChatChoiceView, piece: Body) -> None:
        number = number_of(piece)
        call = view.call(number)
        if call is None:
            call = CallView(id_of(piece), name_of(piece))
            view.calls.append(call)
            self.size += _SIZE_OF_CALL + len(call.id) + len(call.name)
            self.has_content = True
        self.grow(call.arguments, arguments_of(piece))

    def text_of(self, event: Event) -> TextView | None:
        """Return the text that a delta goes on with."""
        choice = choice_of(event)
        view = self._choices.get(index_of(choice))
        if view is None:
            return None
        if event.type == TEXT:
            return view.text(text_name(delta_of(choice)))
        piece = piece_of(event)
        if piece is None or not isinstance(view, ChatChoiceView):
            return None
        call = view.call(number_of(piece))
        return None if call is None else call.arguments

    def words_of(self, event: Event) -> str | None:
        """Return the words of a delta."""
        if event.type == CALL:
            piece = piece_of(event)
            return None if piece is None else arguments_of(piece)
        return words_of(delta_of(choice_of(event)))

    def value_left(self, member: bytes, value: Any) -> Any:
        """Return what the repairs leave of log probabilities, too."""
        return whole_logprobs(value) if member == b"logprobs" else super().value_left(member, value)

    def has_words_twice(self, event: Event) -> bool:
        """Return whether a delta has reasoning under both of its names."""
        delta = delta_of(choice_of(event))
        return all(delta.get(name) for name in REASONING_NAMES)
