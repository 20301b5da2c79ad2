"""``response.output`` of the terminal event (R04, R11, R16, R23, R38 to R42).

vLLM builds it by a second parse: the last token only (up to 0.13, R04), new ids and call_ids (up to 0.31, R11), other
statuses, other types. The Agents SDK and LlamaIndex take their answer from here; openai-python compares it with what
was streamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from proxy.responses import grammar, synthesis
from proxy.responses.proof import Proof
from proxy.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.responses.events import Event
    from proxy.responses.view import ClientView


class FinalOutput(Repair):
    """Make the final output the items that were streamed, in the order that they were announced."""

    name: ClassVar = "final_output"
    summary: ClassVar = (
        "`response.output` of the terminal event holds the streamed items: ids, order, texts, statuses"
    )
    fixes: ClassVar = ("R04", "R11", "R16", "R23", "R38", "R39", "R40", "R41", "R42")
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = grammar.TERMINAL

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with the streamed output."""
        response = event.body["response"]
        said = response.get("output")
        accounts = Proof(view.items, said).accounts
        output = []
        for item in view.items:
            account = accounts.get(item.index)
            if account is None:
                output.append(item.item)
            elif (
                account.get("type") == item.type
                and synthesis.says_the_same(item.item, account)
                and not _has_null_logprobs(account)
            ):
                output.append(account)
            else:
                output.append(synthesis.final_item(item, account))
        return None if output == said else [event.having(response={**response, "output": output})]


def _has_null_logprobs(account: Mapping[str, Any]) -> bool:
    """Tell whether a text part says ``"logprobs": null``, where the streamed one has a list (R27)."""
    content = account.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and "logprobs" in part and part["logprobs"] is None for part in content
    )
