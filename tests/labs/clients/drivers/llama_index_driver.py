"""LlamaIndex: `OpenAIResponses`, or `OpenAI` (`chat`), streamed with tools; the loop is that of its documentation."""

from __future__ import annotations

import sys

from harness import MOST_TURNS, Job, Result, serve
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.llms.openai import OpenAI, OpenAIResponses


def get_weather(city: str) -> str:
    """Tell the weather."""
    raise NotImplementedError  # the loop below answers: it is the call that is looked at


class _Offered(FunctionTool):
    """A tool by its schema, as it stands."""

    def __init__(self, tool: dict) -> None:
        metadata = _Metadata(name=tool["name"], description=tool["description"])
        metadata.parameters = tool["parameters"]
        super().__init__(fn=get_weather, metadata=metadata)


class _Metadata(ToolMetadata):
    def get_parameters_dict(self) -> dict:
        return self.parameters


def run(job: Job, result: Result) -> None:
    api = OpenAI if API == "chat" else OpenAIResponses
    model = api(model="gpt-4.1", api_base=job.base_url, api_key=job.key)
    offered = [_Offered(one) for one in job.tools] or [FunctionTool.from_defaults(get_weather)]
    messages = [ChatMessage(role="user", content=job.prompt)]
    for _ in range(MOST_TURNS):
        last = None
        for chunk in model.stream_chat_with_tools(offered, chat_history=messages):
            result.text += chunk.delta or ""
            last = chunk
        blocks = last.message.blocks
        result.final = "".join(block.text for block in blocks if isinstance(block, TextBlock))
        result.reasoning += "".join(
            block.content or "" for block in blocks if isinstance(block, ThinkingBlock)
        )
        calls = model.get_tool_calls_from_response(last, error_on_no_tool_call=False)
        if not calls:
            return
        messages.append(last.message)
        for call in calls:
            output = result.run_tool(call.tool_name, call.tool_kwargs)
            messages.append(ChatMessage(role="tool", content=output, additional_kwargs={KEY: call.tool_id}))


if __name__ == "__main__":
    API = sys.argv[1] if len(sys.argv) > 1 else "responses"
    KEY = "tool_call_id" if API == "chat" else "call_id"
    serve(["llama-index-llms-openai", "llama-index-core", "openai"], run)
