"""openai-python on chat completions: the raw loop (`create`) or the helper (`stream`), as its documentation shows them."""

from __future__ import annotations

import sys

import openai
from harness import MOST_TURNS, Job, Result, serve


def asked(job: Job, messages: list) -> dict:
    tools = [{"type": "function", "function": {**tool, "strict": True}} for tool in job.tools]
    return {"model": "tiny", "messages": messages, "tools": tools}


def show(result: Result, delta: object) -> None:
    result.text += delta.content or ""
    result.reasoning += getattr(delta, "reasoning_content", None) or ""


def run_tools(result: Result, messages: list, text: str, calls: list) -> None:
    """Run these calls (id, name, arguments), and post them back with their outputs."""
    functions = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
    ]
    messages.append({"role": "assistant", "content": text, "tool_calls": functions})
    for id_, name, arguments in calls:
        output = result.run_tool(name, arguments)
        messages.append({"role": "tool", "tool_call_id": id_, "content": output})


def create(job: Job, result: Result) -> None:
    client = openai.OpenAI(base_url=job.base_url, api_key=job.key)
    messages = [{"role": "user", "content": job.prompt}]
    for _ in range(MOST_TURNS):
        calls: dict = {}
        text, result.finish = "", None
        for chunk in client.chat.completions.create(**asked(job, messages), stream=True):
            if not chunk.choices:
                continue
            choice = chunk.choices[0]
            show(result, choice.delta)
            text += choice.delta.content or ""
            for piece in choice.delta.tool_calls or []:
                if piece.index not in calls:
                    calls[piece.index] = piece
                else:
                    calls[piece.index].function.arguments += piece.function.arguments
            result.finish = choice.finish_reason or result.finish
        if result.finish != "tool_calls":
            return
        made = [(call.id, call.function.name, call.function.arguments) for call in calls.values()]
        run_tools(result, messages, text, made)


def stream(job: Job, result: Result) -> None:
    client = openai.OpenAI(base_url=job.base_url, api_key=job.key)
    messages = [{"role": "user", "content": job.prompt}]
    for _ in range(MOST_TURNS):
        with client.chat.completions.stream(**asked(job, messages)) as events:
            for event in events:
                if event.type == "chunk" and event.chunk.choices:
                    show(result, event.chunk.choices[0].delta)
            choice = events.get_final_completion().choices[0]
        result.finish, result.final = choice.finish_reason, choice.message.content
        if result.finish != "tool_calls":
            return
        calls = choice.message.tool_calls or []
        made = [(call.id, call.function.name, call.function.arguments) for call in calls]
        run_tools(result, messages, choice.message.content or "", made)


if __name__ == "__main__":
    serve(["openai"], {"create": create, "stream": stream}[sys.argv[1]])
