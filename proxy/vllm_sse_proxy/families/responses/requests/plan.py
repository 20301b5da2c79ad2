"""The planner of the Responses API's requests: its repairs, and what they need undone in the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.requests.document import Body, plain
from vllm_sse_proxy.families.requests.members import tools_of, type_of
from vllm_sse_proxy.families.requests.plan import Repairing, RequestPlanner
from vllm_sse_proxy.families.responses.requests.conversion import ECHOED, KEY, MAX_KEYS, Conversion
from vllm_sse_proxy.families.responses.requests.repairs import REQUEST_REPAIRS
from vllm_sse_proxy.families.responses.requests.tools import ConvertedTool, ToolKind, names_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_DEFAULTS: Final[Mapping[str, bytes]] = {"tools": b"[]", "tool_choice": b'"auto"'}
"""What is echoed to a client that did not send these, or null."""


class ResponsesPlanner(RequestPlanner):
    """The repairs that are switched on. One for a process.

    :param disabled: names of repairs that are switched off.
    :param enabled: names of repairs that are switched on, and would not be without it.
    """

    __slots__ = ()

    def __init__(self, *, disabled: Collection[str] = (), enabled: Collection[str] = ()) -> None:
        super().__init__(REQUEST_REPAIRS, disabled=disabled, enabled=enabled)

    def conversion(self, request: Body, repairing: Repairing) -> Conversion:
        """Return what must be converted back in the answer to a repaired request."""
        return conversion_of(request, repairing)

    def with_conversion(self, body: Body, conversion: Any) -> Body | None:
        """Return the request with its conversion in ``metadata``; None if there is no room for it."""
        return _with_metadata(body, conversion)


def conversion_of(request: Body, repairing: Repairing) -> Conversion:
    """Return what must be converted back in the answer to a repaired request.

    Tools that upstream was sent as custom ones are among it: simple paths up to 0.31 stream their calls as those of functions.

    :param request: as the client sent it.
    """
    body = repairing.body
    tools = tools_of(body)
    functions = set(names_of([tool for tool in tools if type_of(tool) == "function"]))
    custom = [
        ConvertedTool(name, name, ToolKind.CUSTOM, name)
        for name in names_of([tool for tool in tools if type_of(tool) == "custom"])
        if name not in functions
    ]
    echo: dict[str, bytes] = {}
    for member in ECHOED:
        own = request.get(member)
        if own is body.get(member):
            continue
        spelled = _DEFAULTS.get(member) if own is None else plain(own)
        if spelled is not None:
            echo[member] = spelled
    return Conversion(
        (*repairing.tools, *custom),
        echo,
        plain=names_of(tools),
        added_metadata=not isinstance(request.get("metadata"), dict),
    )


def unrepaired_conversion(request: Body) -> Conversion:
    """Return what must be converted in the answer to a request that was sent as it came.

    Simple paths up to 0.31 accept custom tools and answer with calls of functions, which no client of theirs knows.

    :param request: or a response object, which echoes the request's tools.
    """
    return conversion_of(request, Repairing(request, (), ()))


def _with_metadata(body: Body, conversion: Conversion) -> Body | None:
    """Return the request with its conversion in ``metadata``; None if there is no room for it."""
    value = conversion.to_metadata()
    metadata = body.get("metadata")
    own: Any = {} if metadata is None else metadata
    if value is None or not isinstance(own, dict) or KEY in own or len(own) >= MAX_KEYS:
        return None
    return {**body, "metadata": {**own, KEY: value}}
