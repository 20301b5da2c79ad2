"""pydantic-ai: an agent with tools on the Responses API or on chat completions (`chat`), its events streamed."""

from __future__ import annotations

import sys

from harness import Job, Result, serve
from pydantic_ai import Agent, Tool
from pydantic_ai.messages import ModelResponse, PartDeltaEvent, PartStartEvent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


def agent_of(job: Job, result: Result, api: str) -> Agent:
    provider = OpenAIProvider(base_url=job.base_url, api_key=job.key)

    def answering(name: str) -> object:
        return lambda **arguments: result.run_tool(name, arguments)

    if api == "chat":
        tools = [
            Tool.from_schema(answering(one["name"]), one["name"], one["description"], one["parameters"])
            for one in job.tools
        ]
        return Agent(OpenAIChatModel("tiny", provider=provider), tools=tools)
    agent = Agent(OpenAIResponsesModel("gpt-4.1", provider=provider))

    @agent.tool_plain
    async def get_weather(city: str) -> str:
        """Tell the weather."""
        return result.run_tool("get_weather", {"city": city})

    return agent


async def run(job: Job, result: Result) -> None:
    agent = agent_of(job, result, API)
    async with agent.iter(job.prompt) as steps:
        async for node in steps:
            if not Agent.is_model_request_node(node):
                continue
            async with node.stream(steps.ctx) as events:
                async for event in events:
                    part = (
                        event.part
                        if isinstance(event, PartStartEvent)
                        else event.delta
                        if isinstance(event, PartDeltaEvent)
                        else None
                    )
                    text = getattr(part, "content", None) or getattr(part, "content_delta", None) or ""
                    kind = getattr(part, "part_kind", None) or getattr(part, "part_delta_kind", None)
                    if kind == "text":
                        result.text += text
                    elif kind == "thinking":
                        result.reasoning += text
    last = [message for message in steps.result.all_messages() if isinstance(message, ModelResponse)][-1]
    thoughts = [part for message in steps.result.all_messages() if isinstance(message, ModelResponse)
                for part in message.parts if part.part_kind == "thinking"]  # fmt: skip
    for part in thoughts:
        details = part.provider_details or {}
        if not part.content:
            result.reasoning += "".join(details.get("raw_content", []))
    result.calls.sort(key=str)  # they run side by side, and which is first is chance
    result.finish = last.finish_reason
    result.final = str(steps.result.output)


if __name__ == "__main__":
    API = sys.argv[1] if len(sys.argv) > 1 else "responses"
    serve(["pydantic-ai-slim", "openai"], run)
