"""LangChain: `ChatOpenAI` on the Responses API or on chat completions (`chat`), or `ChatAnthropic` (`anthropic`), streamed.

Tools are bound; the loop is that of its documentation.
"""

from __future__ import annotations

import sys

from harness import MOST_TURNS, Job, Result, serve
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    raise NotImplementedError  # the loop below answers: it is the call that is looked at


def model_of(job: Job, api: str) -> object:
    if api == "anthropic":
        return ChatAnthropic(model="tiny", base_url=job.base_url.removesuffix("/v1"), api_key=job.key)
    if api == "chat":
        return ChatOpenAI(model="tiny", base_url=job.base_url, api_key=job.key)
    return ChatOpenAI(
        model="gpt-4.1",
        base_url=job.base_url,
        api_key=job.key,
        use_responses_api=True,
        output_version="responses/v1",
    )


async def run(job: Job, result: Result) -> None:
    offered = [{"type": "function", "function": one} for one in job.tools] or [get_weather]
    model = model_of(job, API).bind_tools(offered)
    messages = [HumanMessage(job.prompt)]
    for _ in range(MOST_TURNS):
        whole = None
        async for chunk in model.astream(messages):
            result.text += chunk.text
            whole = chunk if whole is None else whole + chunk
        said = whole.response_metadata
        result.finish = said.get("status") or said.get("finish_reason") or said.get("stop_reason")
        result.final = whole.text
        for block in whole.content:
            if isinstance(block, dict) and block.get("type") == "reasoning":
                result.reasoning += "".join(
                    part.get("text", "") for part in block.get("summary", []) + block.get("content", [])
                )
            elif isinstance(block, dict) and block.get("type") == "thinking":
                result.reasoning += block.get("thinking", "")
        for call in whole.invalid_tool_calls:
            result.calls.append((call["name"], ["invalid", call["args"]]))
        if not whole.tool_calls:
            return
        messages.append(whole)
        for call in whole.tool_calls:
            output = result.run_tool(call["name"], call["args"])
            messages.append(ToolMessage(output, tool_call_id=call["id"]))


if __name__ == "__main__":
    API = sys.argv[1] if len(sys.argv) > 1 else "responses"
    serve([f"langchain-{'anthropic' if API == 'anthropic' else 'openai'}", "langchain-core"], run)
