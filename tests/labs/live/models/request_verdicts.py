"""What a vLLM's own request code says to requests, without an engine: validation, conversion, and the chat template.

    VENV/bin/python tests/live/models/request_verdicts.py 0.32.0 TEMPLATE < requests.jsonl

Runs in the environment of that release (`tests/live/installation.py` makes it), with TIKTOKEN_ENCODINGS_BASE set for harmony.
TEMPLATE is a chat template that fails on a tool without a name. Each line of input is ``{"key": …, "path": "simple" or
"harmony", "body": …}``, each line of output ``{"key": …, "status": …, "error": …}``. It agrees with all 635 statuses of
`tests/requests/results.json`; 0.12.0 does so with the openai package of its time (2.9.0), which knows fewer types.
"""

import json
import sys
from pathlib import Path

import jinja2
import pydantic

RELEASE = sys.argv[1]
OLD = RELEASE.startswith("0.12")
SERVER_ERRORS = (ValueError, TypeError, RuntimeError, jinja2.TemplateError)

if OLD:
    from openai.types.responses import ResponseFunctionToolCall
    from vllm.entrypoints import harmony_utils
    from vllm.entrypoints.openai.protocol import ResponsesRequest
    from vllm.entrypoints.responses_utils import (
        construct_input_messages,
        convert_tool_responses_to_completions_format,
        extract_tool_types,
    )
else:
    from openai.types.responses import ResponseFunctionToolCall
    from vllm.entrypoints.openai.parser import harmony_utils
    from vllm.entrypoints.openai.responses.harmony import response_input_to_harmony
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
    from vllm.entrypoints.openai.responses.utils import (
        construct_input_messages,
        construct_tool_dicts,
        extract_tool_types,
    )


class RefusedError(Exception):
    """What the server would answer."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def fail(message):
    raise jinja2.exceptions.TemplateError(message)


def template(path):
    """Return a chat template, with what vLLM gives to templates."""
    environment = jinja2.Environment(  # noqa: S701 - chat templates are no HTML
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = fail
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    return environment.from_string(Path(path).read_text("utf-8"))


def flattened(content):
    """Return the content of a chat message as a text-only model gets it."""
    if content is None or isinstance(content, str):
        return content
    texts = []
    for part in content:
        if part.get("type") in ("input_image", "image_url"):
            raise RefusedError(400, "tiny is not a multimodal model")
        if part.get("type") not in ("text", "input_text", "output_text", "refusal"):
            raise RefusedError(400, f"Unsupported chat content part type: {part.get('type')!r}")
        texts.append(part.get("text") or part.get("refusal") or "")
    return "\n".join(texts)


def simple(request, chat_template):
    """Do what the simple path does before it generates."""
    if OLD:
        tools = [convert_tool_responses_to_completions_format(tool.model_dump()) for tool in request.tools]
    else:
        tools = construct_tool_dicts(request.tools, request.tool_choice)
    messages = construct_input_messages(
        request_instructions=request.instructions, request_input=request.input
    )
    conversation = []
    for item in messages:
        message = dict(item) if isinstance(item, dict) else item.model_dump()
        content = message.get("content")
        own = {
            "role": message["role"],
            "content": flattened(content if isinstance(content, str | None) else list(content)),
        }
        if message.get("tool_calls"):
            own["tool_calls"] = [
                {
                    **call,
                    "function": {
                        **call["function"],
                        "arguments": json.loads(call["function"]["arguments"] or "{}"),
                    },
                }
                for call in message["tool_calls"]
            ]
        conversation.append(own)
    chat_template.render(messages=conversation, tools=tools or None, add_generation_prompt=True)


def beginning(request, *, custom):
    """Return the first messages of a harmony prompt, and the input that is left."""
    effort = request.reasoning.effort if request.reasoning else None
    instructions, items = request.instructions, request.input
    if OLD:
        messages = [harmony_utils.get_system_message(reasoning_effort=effort, with_custom_tools=custom)]
        if custom:
            messages.append(
                harmony_utils.get_developer_message(instructions=instructions, tools=request.tools)
            )
    else:
        if instructions is None and isinstance(items, list):
            instructions, items = harmony_utils.extract_instructions_from_messages(items)
        messages = list(
            harmony_utils.build_harmony_preamble(
                instructions=instructions,
                tools=request.tools if custom else None,
                reasoning_effort=effort,
                with_custom_tools=custom,
            )
        )
    return messages, items


def harmony(request):
    """Do what the harmony path does before it generates."""
    if "message.output_text.logprobs" in (request.include or []):
        raise RefusedError(400, "logprobs are not supported with gpt-oss models")
    if OLD and request.tool_choice != "auto":
        raise RefusedError(400, "Only 'auto' tool_choice is supported in response API with Harmony")
    if RELEASE.startswith("0.24") and request.tool_choice not in ("auto", "none"):
        raise RefusedError(501, "Only 'auto' or 'none' tool_choice is supported in response API with Harmony")
    custom = harmony_utils.has_custom_tools(extract_tool_types(request.tools))
    messages, items = beginning(request, custom=custom)
    read = harmony_utils.parse_response_input if OLD else response_input_to_harmony
    calls = []
    for item in [] if isinstance(items, str) else items:
        message = read(item, calls)
        if message is not None:
            messages.append(message)
        if isinstance(item, ResponseFunctionToolCall):
            calls.append(item)
    if isinstance(items, str):
        messages.append(harmony_utils.get_user_message(items))
    harmony_utils.render_for_completion(messages)


def verdict(body, path, chat_template):
    """Return status and message."""
    try:
        request = ResponsesRequest(**body)
        if request.previous_response_id:
            return 404, f"Response with id {request.previous_response_id!r} not found."
        if path == "simple":
            simple(request, chat_template)
        else:
            harmony(request)
        format_ = request.text and request.text.format
        if OLD and format_ and format_.type == "json_object":
            return 500, "json_object is not supported"
    except RefusedError as refused:
        return refused.status, str(refused)
    except pydantic.ValidationError as error:
        return 400, f"{error.error_count()} validation errors: {error.errors()[0]}"[:300]
    except SERVER_ERRORS as error:
        return 400, f"{error} None"[:300] if OLD else str(error)[:300]
    except Exception as error:  # noqa: BLE001 - what vLLM does not catch is 500; what it raises itself, and harmony's, 400
        is_theirs = "VLLMValidation" in type(error).__name__ or "Harmony" in type(error).__name__
        return 400 if is_theirs else 500, str(error)[:300]
    return 200, ""


def main():
    chat_template = template(sys.argv[2])
    for line in sys.stdin:
        asked = json.loads(line)
        status, error = verdict(asked["body"], asked["path"], chat_template)
        print(json.dumps({"key": asked["key"], "status": status, "error": error}), flush=True)


if __name__ == "__main__":
    main()
