"""What vLLM accepts and misreads, and no repair changes: nobody is refused, so nobody notices.

The proxy leaves such requests as they are: they work as far as they do, and what is lost cannot be given to this upstream, or
only by a guess. But each kind is counted, so that its operator can see it (docs/requests.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.requests.members import tools_of, type_of
from vllm_sse_proxy.families.responses.requests.parts import TEXTS, role_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

MISREAD: Final[dict[str, str]] = {
    "conversation": "ignored on every release: the model does not see the conversation",
    "context_management": "ignored on every release",
    "max_tool_calls": "ignored on every release",
    "verbosity": "`text.verbosity` is ignored on every release",
    "tool_choice_none": '`tool_choice: "none"`, from 0.32 on: the tools stay in the prompt',
    "hosted_tools": "tools that vLLM does not run, or that only the client does (`shell` …): dropped from 0.32 on, "
    "before that shown as a function without a name",
    "namespaces": "before 0.26: the model is shown one function for the whole namespace",
    "namespaced_custom_tools": "custom tools in a namespace: dropped from 0.26 on, before that as above",
    "additional_tools": "harmony runs the model without these tools",
    "pictures": "images and files in messages to harmony: the model is shown an empty text",
    "later_texts": "several texts in one answer or thought of the history, unless upstream is known to be harmony: the simple "
    "path reads the first",
}
"""Name of what is misread → what becomes of it."""
_IGNORED: Final = ("conversation", "context_management", "max_tool_calls")
_CALLABLE: Final = frozenset({"function", "custom", "namespace"})
_OF_HARMONY: Final = frozenset({"web_search_preview", "code_interpreter", "container"})
"""Tools that harmony runs if vLLM has a tool server."""
_NAMESPACES_SINCE: Final = (0, 26)
_TOOLS_STAY_SINCE: Final = (0, 32)
_UNSEEN: Final = frozenset({"input_image", "input_file"})


def misread_in(request: Body, facts: Facts) -> frozenset[str]:
    """Return the names of what upstream misreads in a request that it has accepted.

    :param request: as it was sent.
    """
    found = {name for name in _IGNORED if request.get(name) is not None}
    text = request.get("text")
    if isinstance(text, dict) and text.get("verbosity") is not None:
        found.add("verbosity")
    tools = tools_of(request)
    if tools:
        found.update(_in_tools(tools, facts))
        if request.get("tool_choice") == "none" and (facts.release or _TOOLS_STAY_SINCE) >= _TOOLS_STAY_SINCE:
            found.add("tool_choice_none")
    items = request.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            found.update(_in_item(item, facts))
    return frozenset(found)


def _in_tools(tools: list[object], facts: Facts) -> Iterator[str]:
    for tool in tools:
        type_ = type_of(tool)
        if type_ not in _CALLABLE:
            if type_ not in _OF_HARMONY or facts.harmony is False:
                yield "hosted_tools"
        elif type_ == "namespace":
            if facts.release is not None and facts.release < _NAMESPACES_SINCE:
                yield "namespaces"
            inner = tool.get("tools") if isinstance(tool, dict) else None
            if isinstance(inner, list) and any(type_of(one) == "custom" for one in inner):
                yield "namespaced_custom_tools"


def _in_item(item: Body, facts: Facts) -> Iterator[str]:
    type_ = type_of(item)
    if type_ == "additional_tools":
        yield "additional_tools"
    content = item.get("content")
    if not isinstance(content, list):
        return
    role = role_of(item)
    if role and facts.harmony and any(type_of(part) in _UNSEEN for part in content):
        yield "pictures"
    if (role == "assistant" or type_ == "reasoning") and not facts.harmony:
        texts = TEXTS if role else _OF_THOUGHTS
        if sum(type_of(part) in texts for part in content) > 1:
            yield "later_texts"


_OF_THOUGHTS: Final = frozenset({"reasoning_text", "text"})
