"""The planner of the requests of messages. Nothing is converted back: names and inputs of calls stay the client's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.families.messages.requests.repairs import REQUEST_REPAIRS
from vllm_sse_proxy.families.requests.plan import RequestPlanner

if TYPE_CHECKING:
    from collections.abc import Collection


class MessagesPlanner(RequestPlanner):
    """The repairs that are switched on. One for a process.

    :param disabled: names of repairs that are switched off.
    :param enabled: names of repairs that are switched on, and would not be without it.
    """

    __slots__ = ()

    def __init__(self, *, disabled: Collection[str] = (), enabled: Collection[str] = ()) -> None:
        super().__init__(REQUEST_REPAIRS, disabled=disabled, enabled=enabled)
