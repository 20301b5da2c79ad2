"""OpenAI Agents SDK: `Runner.run_streamed` with a function tool."""

from __future__ import annotations

import openai
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from harness import MOST_TURNS, Job, Result, serve


async def run(job: Job, result: Result) -> None:
    @function_tool(failure_error_function=None)
    async def get_weather(city: str) -> str:
        """Tell the weather."""
        return result.run_tool("get_weather", {"city": city})

    client = openai.AsyncOpenAI(base_url=job.base_url, api_key=job.key)
    agent = Agent(name="weather", model=OpenAIResponsesModel("gpt-4.1", client), tools=[get_weather])
    streamed = Runner.run_streamed(agent, job.prompt, max_turns=MOST_TURNS)
    async for event in streamed.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            result.text += event.data.delta
        elif event.type == "raw_response_event" and event.data.type == job.reasoning_delta:
            result.reasoning += event.data.delta
    result.final = str(streamed.final_output)
    result.finish = "completed"


if __name__ == "__main__":
    set_tracing_disabled(disabled=True)
    serve(["openai-agents", "openai"], run)
