"""LiteLLM as a client: `completion(stream=True)` and `stream_chunk_builder`, on chat completions (`openai`) or `anthropic`.

The loop is that of its documentation: it runs whatever calls the message has.
"""

from __future__ import annotations

import gc
import os
import sys

from harness import MOST_TURNS, Job, Result, serve

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = (
    "True"  # it would load its price list from elsewhere when it is imported
)
import litellm
import litellm.litellm_core_utils.default_encoding  # brings the tables of its tokenizer; else it would load them, too


def run(job: Job, result: Result) -> None:
    gc.collect()
    messages: list = [{"role": "user", "content": job.prompt}]
    for _ in range(MOST_TURNS):
        chunks = []
        for chunk in litellm.completion(
            model=f"{PROVIDER}/tiny",
            api_base=job.base_url.removesuffix("/v1") if PROVIDER == "anthropic" else job.base_url,
            api_key=job.key,
            messages=messages,
            tools=[{"type": "function", "function": tool} for tool in job.tools],
            stream=True,
        ):
            chunks.append(chunk)
            delta = chunk.choices[0].delta
            result.text += delta.content or ""
            result.reasoning += getattr(delta, "reasoning_content", None) or ""
        choice = litellm.stream_chunk_builder(chunks, messages=messages).choices[0]
        result.finish, result.final = choice.finish_reason, choice.message.content
        if not choice.message.tool_calls:
            return
        messages.append(choice.message)
        for call in choice.message.tool_calls:
            output = result.run_tool(call.function.name, call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": output})


if __name__ == "__main__":
    PROVIDER = sys.argv[1]
    # On messages it does not read streams to their end. If the garbage of one is collected while httpcore's pool has its lock,
    # the pool waits for itself for ever: so garbage is collected between conversations.
    gc.disable()
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    serve(["litellm", "openai"] if PROVIDER == "openai" else ["litellm"], run)
