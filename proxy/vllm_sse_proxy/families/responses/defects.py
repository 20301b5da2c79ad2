"""The catalogue of what vLLM and its forks do wrong on the wire, by the ids that repairs name in `fixes`.

R are defects of vLLM's Responses endpoint, F of forks, C of its chat endpoint, P of what stands between. R01 to R34 were
collected from issues, pull requests and source; from R35 on they were found in recordings. docs/compatibility-matrix.md
shows the catalogue with the repairs of each, and an example for most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect.

    :ivar what: what is wrong on the wire, in a few words of Markdown.
    :ivar releases: the releases that have it, first to last; "open" where 0.33.0 still has it.
    """

    what: str
    releases: str


DEFECTS: Final[dict[str, Defect]] = {
    "R01": Defect("the stream is truncated after HTTP 200: no terminal event, no error", "0.10.1, open"),
    "R02": Defect("background and resumed streams fall silent forever", "0.11.0, open"),
    "R03": Defect("tool calls are streamed as plain text (models without harmony)", "0.10.2 to 0.17"),
    "R04": Defect("`response.completed` holds only the last token", "0.10.2 to 0.13"),
    "R05": Defect("`content_index` grows with every delta", "0.10.2 to 0.16"),
    "R06": Defect("`content_index` is not reset for the next item (harmony)", "0.11.0 to 0.24"),
    "R07": Defect("all `*.done` events carry the next item's `output_index` (harmony)", "0.10.1 to 0.13"),
    "R08": Defect("a message is announced with the reasoning's id and index", "0.10.2 to 0.16"),
    "R09": Defect("`*.done` events, or whole items, are missing", "0.10.1, in part open"),
    "R10": Defect(
        "text is lost or in the wrong channel when a step yields several tokens (harmony)",
        "0.10.1 to 0.24",
    ),
    "R11": Defect("ids and `call_id`s in `response.completed` are new ones", "0.10.1 to 0.31"),
    "R12": Defect("a call's events disagree about its id and `call_id` (harmony)", "0.11.1 to 0.23"),
    "R13": Defect("`item_id` is empty (harmony)", "0.10.1 to 0.10.2"),
    "R14": Defect("`sequence_number: -1` inside items (harmony)", "0.11.1, open"),
    "R15": Defect("a response that was cut short ends with `response.completed`", "0.10.1 to 0.32"),
    "R16": Defect("an item that was cut short says `completed`", "0.10.1 to 0.32, harmony open"),
    "R17": Defect("reasoning and answer in one step: text lost, or under the wrong item", "0.10.2 to 0.20"),
    "R18": Defect("an empty first delta announces the wrong type of item", "0.10.2 to 0.20"),
    "R19": Defect("the end of a call's arguments is only in the terminal event", "0.18 to 0.22"),
    "R20": Defect("no events for function calls at all (harmony)", "0.10.1 to 0.11.0"),
    "R21": Defect("the preamble is never streamed (harmony)", "0.10.1 to 0.16"),
    "R22": Defect("two items share one `output_index` (browser tool)", "0.10.1, open"),
    "R23": Defect(
        "the streamed item's type differs from the final one's (python, container)",
        "0.10.1, open",
    ),
    "R24": Defect("private names `response.reasoning_part.added` and `.done`", "0.11.0 to 0.31"),
    "R25": Defect("reasoning opens with an `output_text` part that is never closed", "0.10.1 to 0.16"),
    "R26": Defect("`schema_` for `schema` in `text.format`", "0.10.1 to 0.19"),
    "R27": Defect("required fields of the response object are missing or null", "all, open"),
    "R28": Defect("logprobs are missing in done events", "all, open"),
    "R29": Defect("`error`, `response.failed` and other events are never sent", "all, open"),
    "R30": Defect("no `data: [DONE]`", "all, open"),
    "R31": Defect("`sequence_number` has gaps, repeats or is -1", "forks; inside items as R14"),
    "R32": Defect("usage lacks details that clients require", "all, in part open"),
    "R33": Defect("a custom tool's input is sent again in full", "0.32, open"),
    "R34": Defect("resuming and cancelling: a stream that never ends", "0.10.2, open"),
    "R35": Defect("text before a tool call closes as empty", "0.20.2"),
    "R36": Defect("a call that was cut short closes as a message with the text before it", "0.20.2"),
    "R37": Defect("forced calls (`tool_choice: required`) are streamed as JSON text", "0.20.2"),
    "R38": Defect("messages of white space are missing from the final output", "0.24.0"),
    "R39": Defect(
        "`tool_choice: allowed_tools`: the call that was streamed is text in the final output",
        "0.24.0",
    ),
    "R40": Defect(
        "without reasoning, the message that was streamed is reasoning in the final output",
        "0.24.0",
    ),
    "R41": Defect(
        "a call that was cut short after its name has no argument events and is missing from the output",
        "0.24.0",
    ),
    "R42": Defect(
        "reasoning is `completed` in the stream, and without a status in the final output",
        "0.32.0, 0.33.0",
    ),
    "R43": Defect("an answer that was cut short says `completed` everywhere", "0.12.0"),
    "R44": Defect("open streams fall silent when the server gets SIGTERM", "0.32.0"),
    "R45": Defect(
        "without reasoning, a call that was streamed is reasoning in the final output",
        "0.22.1 to 0.30.0",
    ),
    "R46": Defect(
        "the final output has other white space or special tokens than the stream",
        "0.17.0 to 0.28.0",
    ),
    "R47": Defect(
        "the tool of an MCP server has another name in the final output (harmony)",
        "0.24.0 to 0.32.0",
    ),
    "R48": Defect(
        "what was cut short is `completed`, and only the final item says that it is unfinished (harmony)",
        "0.24.0 to 0.32.0",
    ),
    "R49": Defect(
        "reasoning or a call is closed as an empty message, and arguments are sent twice",
        "0.18.1",
    ),
    "R50": Defect("a call's name holds its namespace (`mcp__desk__list_apps`)", "to 0.25; gateways"),
    "R51": Defect('the call of a custom tool is a function call with `{"input": …}`', "to 0.31; gateways"),
    "R52": Defect("a call is streamed twice under one `call_id`", "gateways that send again"),
    "F01": Defect("object deltas, private names and heartbeats of a fork", "a fork of 0.11"),
    "C01": Defect("an error object without a type, inside the stream", "all; chat endpoint, and gateways"),
    "P01": Defect("payloads that are not events", "gateways"),
    "P02": Defect("a new response id in every event", "gateways"),
}
