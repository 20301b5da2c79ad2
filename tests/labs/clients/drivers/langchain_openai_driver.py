"""LangChain: `ChatOpenAI(use_responses_api=True)`, streamed, tools bound; the loop is that of its documentation."""

from __future__ import annotations

from harness import MOST_TURNS, Job, Result, serve
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    raise NotImplementedError  # the loop below answers: it is the call that is looked at


async def run(job: Job, result: Result) -> None:
    model = ChatOpenAI(
        model="gpt-4.1",
        base_url=job.base_url,
        api_key=job.key,
        use_responses_api=True,
        output_version="responses/v1",
    ).bind_tools([get_weather])
    messages = [HumanMessage(job.prompt)]
    for _ in range(MOST_TURNS):
        whole = None
        async for chunk in model.astream(messages):
            result.text += chunk.text
            whole = chunk if whole is None else whole + chunk
        result.finish = whole.response_metadata.get("status")
        result.final = whole.text
        for block in whole.content:
            if isinstance(block, dict) and block.get("type") == "reasoning":
                result.reasoning += "".join(
                    part.get("text", "") for part in block.get("summary", []) + block.get("content", [])
                )
        for call in whole.invalid_tool_calls:
            result.calls.append((call["name"], ["invalid", call["args"]]))
        if not whole.tool_calls:
            return
        messages.append(whole)
        for call in whole.tool_calls:
            output = result.run_tool(call["name"], call["args"])
            messages.append(ToolMessage(output, tool_call_id=call["id"]))


if __name__ == "__main__":
    serve(["langchain-openai", "langchain-core"], run)
