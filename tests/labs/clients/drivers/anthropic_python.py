"""anthropic-python: the helper (`messages.stream`), as its documentation shows it."""

from __future__ import annotations

import anthropic
from harness import MOST_TURNS, Job, Result, serve


def run(job: Job, result: Result) -> None:
    client = anthropic.Anthropic(base_url=job.base_url.removesuffix("/v1"), api_key=job.key)
    messages: list = [{"role": "user", "content": job.prompt}]
    tools = [
        {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
        for tool in job.tools
    ]
    for _ in range(MOST_TURNS):
        with client.messages.stream(model="tiny", max_tokens=500, messages=messages, tools=tools) as events:
            for event in events:
                if event.type == "text":
                    result.text += event.text
                elif event.type == "thinking":
                    result.reasoning += event.thinking
            final = events.get_final_message()
        result.finish = final.stop_reason
        result.final = "".join(block.text for block in final.content if block.type == "text")
        if final.stop_reason != "tool_use":
            return
        outputs = [
            {
                "type": "tool_result",
                "tool_use_id": block.id,
                "content": result.run_tool(block.name, block.input),
            }
            for block in final.content
            if block.type == "tool_use"
        ]
        messages += [{"role": "assistant", "content": final.content}, {"role": "user", "content": outputs}]


if __name__ == "__main__":
    serve(["anthropic"], run)
