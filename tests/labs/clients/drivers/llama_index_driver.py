"""LlamaIndex: `OpenAIResponses`, streamed with tools; the loop is that of its documentation."""

from __future__ import annotations

from harness import MOST_TURNS, Job, Result, serve
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses


def get_weather(city: str) -> str:
    """Tell the weather."""
    raise NotImplementedError  # the loop below answers: it is the call that is looked at


def run(job: Job, result: Result) -> None:
    model = OpenAIResponses(model="gpt-4.1", api_base=job.base_url, api_key=job.key)
    messages = [ChatMessage(role="user", content=job.prompt)]
    for _ in range(MOST_TURNS):
        last = None
        for chunk in model.stream_chat_with_tools(
            [FunctionTool.from_defaults(get_weather)], chat_history=messages
        ):
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
            messages.append(
                ChatMessage(role="tool", content=output, additional_kwargs={"call_id": call.tool_id})
            )


if __name__ == "__main__":
    serve(["llama-index-llms-openai", "llama-index-core", "openai"], run)
