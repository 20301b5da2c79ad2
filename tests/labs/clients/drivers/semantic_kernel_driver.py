"""semantic-kernel: its connector for OpenAI's chat completions, streamed; the kernel runs the tools.

It offers models `plugin-function` as the name of a tool; here it is the bare one, which the streams call. It finds both.
"""

from __future__ import annotations

import openai
from harness import MOST_TURNS, Job, Result, serve
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
from semantic_kernel.contents import ChatHistory, StreamingTextContent
from semantic_kernel.functions import KernelFunctionFromMethod, KernelParameterMetadata, kernel_function


def function_of(tool: dict, result: Result) -> KernelFunctionFromMethod:
    """Return a function of the kernel by the schema of a tool."""

    @kernel_function(name=tool["name"], description=tool.get("description", ""))
    def answer(**arguments: object) -> str:
        return result.run_tool(tool["name"], arguments)

    schema = tool["parameters"]
    return KernelFunctionFromMethod(
        answer,
        plugin_name="lab",
        parameters=[
            KernelParameterMetadata(
                name=name, is_required=name in schema.get("required", ()), schema_data=schema_of
            )
            for name, schema_of in schema.get("properties", {}).items()
        ],
    )


async def run(job: Job, result: Result) -> None:
    kernel = Kernel()
    kernel.add_functions("lab", [function_of(tool, result) for tool in job.tools])
    for function in kernel.plugins["lab"]:
        function.metadata.plugin_name = None
    client = openai.AsyncOpenAI(base_url=job.base_url, api_key=job.key)
    chat = OpenAIChatCompletion(ai_model_id="tiny", async_client=client)
    behavior = FunctionChoiceBehavior.Auto()
    behavior.maximum_auto_invoke_attempts = MOST_TURNS
    settings = OpenAIChatPromptExecutionSettings(function_choice_behavior=behavior)
    history = ChatHistory()
    history.add_user_message(job.prompt)
    async for messages in chat.get_streaming_chat_message_contents(history, settings, kernel=kernel):
        for message in messages:
            result.text += "".join(
                item.text or "" for item in message.items if isinstance(item, StreamingTextContent)
            )
            if message.finish_reason is not None:
                result.finish = message.finish_reason.value


if __name__ == "__main__":
    serve(["semantic-kernel", "openai"], run)
