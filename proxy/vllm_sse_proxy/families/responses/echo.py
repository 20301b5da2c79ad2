"""What a response's echo of ``tools`` says about the names of calls.

vLLM repeats the request's tools in every response object, as the client sent them: functions and custom tools, alone or in
namespaces (Codex sends one namespace for each MCP server). The model is shown other names: vLLM from 0.26 joins a namespace
and a tool with two underscores, 0.23 to 0.25 show it the namespace itself, and it joins them in ways of its own. So a name
that comes back is looked up here. One that can be read in two ways is not settled, and nothing here guesses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Event

_FUNCTION: Final = "function"
_CUSTOM: Final = "custom"
_NAMESPACE: Final = "namespace"
_SEPARATORS: Final = ("__", ".")
"""What stands between a namespace and a name in a flattened one: vLLM's own separator, and what models write by themselves."""


class Echo:
    """The tools of one response object.

    :ivar tools: what they were read from.
    :ivar has_namespaces: whether any tool is in a namespace.
    :ivar has_customs: whether any tool is a custom tool.
    """

    __slots__ = ("_customs", "_functions", "_places", "has_customs", "has_namespaces", "tools")

    def __init__(self, tools: object) -> None:
        self.tools = tools
        self._functions: dict[tuple[str, str], None] = {}
        self._customs: dict[tuple[str, str], None] = {}
        self._places: dict[str, tuple[str, str] | None] | None = None
        self.has_namespaces = False
        for type_, namespace, name in _read(tools):
            (self._customs if type_ == _CUSTOM else self._functions)[namespace, name] = None
            self.has_namespaces = self.has_namespaces or namespace != ""
        self.has_customs = bool(self._customs)

    @property
    def names(self) -> Collection[str]:
        """Every name under which a call can come, flattened names included."""
        return self._named()

    def place_of(self, name: str) -> tuple[str, str] | None:
        """Return the namespace and the name in it that a call's name stands for; None if it stands for itself, or for two."""
        return self._named().get(name)

    def _named(self) -> dict[str, tuple[str, str] | None]:
        """Return the place of every name; read off the tools when it is first asked for."""
        places = self._places
        if places is None:
            places = self._places = {}
            for _, namespace, name in _read(self.tools):
                for flat in _flattened(namespace, name):
                    place = (namespace, name) if namespace else None
                    places[flat] = place if places.get(flat, place) == place else None
        return places

    def is_custom(self, namespace: str, name: str) -> bool:
        """Return whether a tool is a custom tool, and no function has its name.

        :param namespace: where it is; empty for a tool in no namespace.
        """
        return (namespace, name) in self._customs and (namespace, name) not in self._functions


def echo_at(event: Event, view: ClientView) -> Echo:
    """Return the tools that the client knows of; if it knows nothing of the response yet, those that the event has.

    What these do not settle is sent as it came, and so must stay unsettled in the final output, whatever that one echoes.
    """
    response: object = view.response
    if response is None and not view.items:
        response = event.body.get("response")
    tools = response.get("tools") if isinstance(response, dict) else None
    known = view.echo
    if not isinstance(known, Echo) or known.tools is not tools:
        known = view.echo = Echo(tools)
    return known


def _flattened(namespace: str, name: str) -> Iterator[str]:
    yield name
    if namespace:  # some end with the separator
        for separator in _SEPARATORS:
            yield f"{namespace if namespace.endswith(separator) else namespace + separator}{name}"


def _read(tools: object) -> Iterator[tuple[str, str, str]]:
    """Yield type, namespace and name of each tool that has a name; the namespace is empty where there is none."""
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        if tool.get("type") == _NAMESPACE:
            namespace, inner = tool.get("name"), tool.get("tools")
            if isinstance(namespace, str) and namespace and isinstance(inner, list):
                yield from _named(inner, namespace)
        else:
            yield from _named([tool], "")


def _named(tools: list[object], namespace: str) -> Iterator[tuple[str, str, str]]:
    for tool in tools:
        if not isinstance(tool, dict):
            continue
        type_, name, nested = tool.get("type"), tool.get("name"), tool.get(_FUNCTION)
        if name is None and isinstance(nested, dict):  # as chat completions have it
            name = nested.get("name")
        if type_ in (_FUNCTION, _CUSTOM) and isinstance(name, str) and name:
            yield type_, namespace, name
