"""Calls that clients run, matched with those of the final output: which of them a client was not sent.

They are matched in this order: by ``call_id``, by name and arguments, by id, and then by name in the order in which they came.
What is left over on both sides is paired in order as well: if both accounts have equally many calls, they are the same calls,
whatever their arguments say (issue 12, K5). Only calls in excess are unsent, because a tool must not run twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses.agreement import canonical_json
from vllm_sse_proxy.families.responses.grammar import CLIENT_CALLS, item_kind
from vllm_sse_proxy.families.responses.item_texts import emitted_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView
    from vllm_sse_proxy.stream.event import Body

    _Sign = Callable[[Mapping[str, Any], object], object]

Placed = tuple[int, dict[str, Any]]
"""A final item behind its place in the output."""
LOOK_AHEAD: Final = 4
"""Items that may stand in one account and not in the other before those that correspond: white space between reasoning and a
call is streamed as a message and is absent from the final output (0.24)."""


class CallMatch:
    """Calls that clients run: finds the emitted call for each final one, by the surest sign first."""

    def __init__(self, view: ClientView, accounts: dict[int, Body]) -> None:
        self._emitted = [item for item in view.items if item.kind in CLIENT_CALLS]
        self._accounts = accounts
        self._names = names_of_tools(view.response)

    def match(self, finals: list[Placed]) -> list[Placed]:
        """Note the accounts; return the calls that were not sent."""
        finals = _without_repeated_calls(finals)
        if not finals or not self._emitted:
            return finals
        for sign in (_call_id_of, _request_of, _id_and_name_of, _name_of):
            finals = self._match_by(sign, finals)
        # As many calls in both accounts are the same calls, even where a name was parsed otherwise: one more could run a
        # tool twice. But a name that no tool has is run by nobody, so then the right one must be sent (0.18.1 cuts names).
        left = sum(item.index not in self._accounts and self._can_run(item) for item in self._emitted)
        return self._without_sent_requests(finals[left:])

    def _without_sent_requests(self, finals: list[Placed]) -> list[Placed]:
        """Leave out calls in excess that ask for what was sent already, in the same words: they may be the sent call again.

        Nobody can know, and a call too few is asked for again, whereas one too many was run (issue 12, K5).
        """
        if not finals:
            return finals
        sent = {_request_of(item.item, _said_of(item)): None for item in self._emitted}
        return [
            placed
            for placed in finals
            if (request := _request_of(placed[1], arguments_of(placed[1]))) is None or request not in sent
        ]

    def _match_by(self, sign: _Sign, finals: list[Placed]) -> list[Placed]:
        waiting: dict[object, list[ItemView]] = {}
        for item in reversed(self._emitted):
            if item.index not in self._accounts:
                key = sign(item.item, _said_of(item))
                waiting.setdefault(key, []).append(item)
        left: list[Placed] = []
        for placed in finals:
            final = placed[1]
            key = sign(final, arguments_of(final))
            same = waiting.get(key) if key is not None else None
            if same:
                self._accounts[_likeliest(same, final).index] = final
            else:
                left.append(placed)
        return left

    def _can_run(self, item: ItemView) -> bool:
        return not self._names or item.item.get("name") in self._names


def _likeliest(same: list[ItemView], final: Body) -> ItemView:
    """Take the first emitted call (the last of the list), or one soon after whose cut arguments the final ones go on with."""
    arguments = arguments_of(final)
    if type(arguments) is str:
        for back in range(1, min(len(same), LOOK_AHEAD) + 1):
            item = same[-back]
            text = item.own.text if item.own is not None else ""
            if text and not item.closed and arguments.startswith(text):
                return same.pop(-back)
    return same.pop()


def _call_id_of(call: Mapping[str, Any], arguments: object) -> object:  # noqa: ARG001 - one of the signs
    return text_or_none(call.get("call_id"))


def _request_of(call: Mapping[str, Any], arguments: object) -> object:
    """Return what a call asks for, its name and arguments; the same for arguments that are the same JSON."""
    name = call.get("name")
    if type(name) is not str or type(arguments) is not str:
        return None
    canonical = canonical_json(arguments)
    return (name, arguments if canonical is None else canonical)


def _id_and_name_of(call: Mapping[str, Any], arguments: object) -> object:  # noqa: ARG001 - one of the signs
    id_, name = text_or_none(call.get("id")), call.get("name")
    return (id_, name) if id_ is not None and type(name) is str else None


def _name_of(call: Mapping[str, Any], arguments: object) -> object:  # noqa: ARG001 - one of the signs
    return text_or_none(call.get("name"))


def text_or_none(value: object) -> str | None:
    """Return a value that is a string, and not empty; None for any other."""
    return value if type(value) is str and value != "" else None


def _said_of(item: ItemView) -> str:
    """Return the arguments of an emitted call; those of its closing, if that waits for the terminal event."""
    own = item.own
    waiting = own.waiting if own is not None else None
    return waiting if waiting is not None else emitted_text(item)


def arguments_of(call: Mapping[str, Any]) -> object:
    """Return the arguments, or the input, of a call in the final output; None if it has none."""
    run = item_kind(call.get("type")).run
    return call.get(run.field) if run is not None else None


def _without_repeated_calls(finals: list[Placed]) -> list[Placed]:
    """Leave out a final call that is there already: the same id or call_id, name and arguments (K5)."""
    seen: set[object] = set()
    kept: list[Placed] = []
    for placed in finals:
        call = placed[1]
        request = _request_of(call, arguments_of(call))
        signs = [
            (name, sign, request)
            for name in ("id", "call_id")
            if request is not None and (sign := text_or_none(call.get(name))) is not None
        ]
        if not any(sign in seen for sign in signs):
            kept.append(placed)
            seen.update(signs)
    return kept


def names_of_tools(response: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names that a response's echo of ``tools`` gives to functions and custom tools, those in namespaces too."""
    tools = response.get("tools") if response is not None else None
    names: set[str] = set()
    pending = list(tools) if type(tools) is list else []
    while pending:
        tool = pending.pop()
        if type(tool) is dict:
            name, nested = tool.get("name"), tool.get("tools")
            if type(nested) is list:
                pending += nested
            elif type(name) is str:
                names.add(name)
    return frozenset(names)
