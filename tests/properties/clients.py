"""What openai-python makes of a stream: its streaming helper, and the plain loop that most programs are.

No sockets: the bytes are put in the place of an answer.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx2
from openai import OpenAI

Json = dict[str, Any]


@dataclass
class Outcome:
    """What came of one stream.

    :ivar run: the calls that the loop has run: those of ``response.output_item.done``, in order.
    :ivar response: what ``get_final_response()`` returned, as JSON; None if it raised.
    :ivar error: what the helper raised; None if it raised nothing.
    """

    run: list[Json] = field(default_factory=list)
    response: Json | None = None
    error: str | None = None


def accumulated(stream: bytes) -> Outcome:
    """Let openai-python's helper read a stream to its end, and a loop run the calls that it sees.

    pydantic's warnings, as for a tool in the echo whose type it does not know, stop no program.
    """
    outcome = Outcome()
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    _answers[:] = [answer]
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            _client().responses.stream(model="m", input="i") as events,
        ):
            for event in events:
                if event.type == "response.output_item.done" and event.item.type in (
                    "function_call",
                    "custom_tool_call",
                ):
                    outcome.run.append(event.item.to_dict(warnings=False))
            outcome.response = events.get_final_response().to_dict(warnings=False)
    except Exception as error:  # noqa: BLE001 - whatever upstream's bytes make it raise is a result
        outcome.error = f"{type(error).__name__}: {error}"
    return outcome


_answers: list[httpx2.Response] = []


@cache
def _client() -> OpenAI:
    transport = httpx2.MockTransport(lambda _: _answers[0])
    return OpenAI(
        api_key="-",
        base_url="http://upstream/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )
