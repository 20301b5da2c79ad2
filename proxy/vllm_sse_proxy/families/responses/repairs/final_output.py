"""``response.output`` of the terminal event (R04, R11, R16, R23, R38 to R42, R45 to R47).

vLLM builds it by a second parse: the last token only (up to 0.13, R04), new ids and call_ids (up to 0.31, R11), other
statuses, other types. The Agents SDK and LlamaIndex take their answer from here; openai-python compares it with what
was streamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView


class FinalOutput(Repair):
    """Make the final output the items that were streamed, in the order that they were announced."""

    __slots__ = ()

    name: ClassVar = "final_output"
    summary: ClassVar = (
        "`response.output` of the terminal event holds the streamed items: ids, order, texts, statuses"
    )
    fixes: ClassVar = ("R04", "R11", "R16", "R23", "R38", "R39", "R40", "R41", "R42", "R45", "R46", "R47")
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = grammar.TERMINAL
    needed: ClassVar = "what the others change in an item must be so in the final output"

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with the streamed output."""
        response = event.body["response"]
        said = response.get("output")
        accounts = match_final(view, said).accounts
        output = [_summed_up(item, accounts.get(item.index)) for item in view.items]
        return None if output == said else [event.having(response={**response, "output": output})]


def _summed_up(item: ItemView, account: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an item of the final output; ``account`` is upstream's, None if it has none."""
    if not item.closed:  # a call that was cut
        return synthesis.told_item(item, status=synthesis.INCOMPLETE, proven=account)
    if account is None:
        return item.item
    same = account.get("type") == item.type and synthesis.says_the_same(item.item, account)
    if same and not _has_null_logprobs(account) and not _lacks_text(item, account):
        return account
    final = synthesis.final_item(item, account)
    run = item.kind.run
    if run is not None and item.kind.acts and account.get("type") == item.type:
        # A call closed in the middle, too long ago for its closing to be held (R19): those who run it from here need all.
        whole, told = account.get(run.field), str(final.get(run.field))
        if isinstance(whole, str) and whole.startswith(told) and not synthesis.is_json(told):
            return {**final, run.field: whole}
    return final


def _lacks_text(item: ItemView, account: Mapping[str, Any]) -> bool:
    """Tell whether a call has no field for its arguments or input: it was told an empty one."""
    return item.own is not None and item.own.run is not None and account.get(item.own.run.field) is None


def _has_null_logprobs(account: Mapping[str, Any]) -> bool:
    """Tell whether a text part says ``"logprobs": null``, where the streamed one has a list (R27)."""
    content = account.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and "logprobs" in part and part["logprobs"] is None for part in content
    )
