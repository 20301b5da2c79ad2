"""Ids of what the proxy makes: they depend on the response and on its place in it, and on nothing else.

Nothing here reads a clock or a random number, so a stream that is replayed and repaired again gets the same ids: a client that
reconnects with ``starting_after`` continues where it stopped (docs/adr/0005-resume-by-whole-replay.md).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses.grammar import item_kind

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.event import Body

_ID_BYTES: Final = 12
"""24 hexadecimal digits: 96 bits, far from any collision within a response."""


def derive_id(prefix: str, *parts: object) -> str:
    """Return an id that depends on nothing but ``parts``: the same stream repaired again gets the same ids."""
    digest = blake2b("/".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES)
    return f"{prefix}_{digest.hexdigest()}"


class ItemNamer:
    """Gives names to unsent items: ids that the client does not know yet, and a ``call_id`` for each call."""

    def __init__(self, view: ClientView, request: RequestContext) -> None:
        self._view = view
        self._seed = view.response_id or request.seed
        self._taken: dict[str, None] = {}

    def named(self, item: Body, index: int) -> Body:
        """Return the item with an id, a ``call_id`` and arguments if it needs them; the item itself if it has them all."""
        kind = item_kind(item.get("type"))
        view, taken = self._view, self._taken
        names: Body = {}
        id_, call_id = item.get("id"), item.get("call_id")
        if not isinstance(id_, str) or not id_ or id_ in view.by_id or f"id {id_}" in taken:
            names["id"] = derive_id(kind.id_prefix, self._seed, index)
        if "call_id" in kind.required and (
            not isinstance(call_id, str)
            or not call_id
            or call_id in view.by_call_id
            or f"call {call_id}" in taken
        ):
            names["call_id"] = derive_id("call", self._seed, index)
        taken[f"id {id_}"] = taken[f"call {call_id}"] = None
        if kind.acts and kind.run is not None and not isinstance(item.get(kind.run.field), str):
            names[kind.run.field] = ""
        return {**item, **names} if names else item
