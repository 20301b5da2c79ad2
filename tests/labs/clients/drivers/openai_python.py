"""openai-python: the raw loop (`create`) or the helper (`stream`), as its documentation shows them."""

from __future__ import annotations

import sys

import openai
from harness import MOST_TURNS, Job, Result, serve

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def outputs(result: Result, items: list) -> list:
    """Run the tools that these items call."""
    made = []
    for item in items:
        if item.type == "function_call":
            output = result.run_tool(item.name, item.arguments)
            made.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
        elif item.type == "custom_tool_call":
            output = result.run_tool(item.name, item.input)
            made.append({"type": "custom_tool_call_output", "call_id": item.call_id, "output": output})
    return made


def asked(job: Job, history: list) -> dict:
    return {"model": "gpt-4.1", "input": history, "tools": [TOOL]}


class ResponseFailedError(Exception):
    """What an application raises on `response.failed`, which the raw loop hands over like any event."""


def create(job: Job, result: Result) -> None:
    client = openai.OpenAI(base_url=job.base_url, api_key=job.key)
    history = [{"role": "user", "content": job.prompt}]
    for _ in range(MOST_TURNS):
        items, final = [], None
        for event in client.responses.create(**asked(job, history), stream=True):
            if event.type == "response.output_text.delta":
                result.text += event.delta
            elif event.type == job.reasoning_delta:
                result.reasoning += event.delta
            elif event.type == "response.output_item.done":
                items.append(event.item)
            elif event.type in ("response.completed", "response.incomplete"):
                final = event.response
            elif event.type == "response.failed":
                raise ResponseFailedError(event.response.error.message)
        result.finish = final.status if final else None
        result.final = final.output_text if final else None
        made = outputs(result, items) if result.finish == "completed" else []
        if not made:
            return
        history += [*final.output, *made]


def stream(job: Job, result: Result) -> None:
    client = openai.OpenAI(base_url=job.base_url, api_key=job.key)
    history = [{"role": "user", "content": job.prompt}]
    for _ in range(MOST_TURNS):
        with client.responses.stream(**asked(job, history)) as events:
            for event in events:
                if event.type == "response.output_text.delta":
                    result.text += event.delta
                elif event.type == job.reasoning_delta:
                    result.reasoning += event.delta
                elif event.type == "response.incomplete":
                    result.finish = event.response.incomplete_details.reason
            final = events.get_final_response()
        result.finish, result.final = final.status, final.output_text
        made = outputs(result, final.output)
        if not made:
            return
        history += [*final.output, *made]


if __name__ == "__main__":
    serve(["openai"], {"create": create, "stream": stream}[sys.argv[1]])
