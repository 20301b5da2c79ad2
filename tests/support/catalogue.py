"""What is known of the rules of the judges: which defects of vLLM break them, and what clients make of it.

`docs/conformance.md` is generated from this. Sources: streams recorded from vLLM 0.12.0 to 0.32.0, its source from 0.10.0 to
0.33.0, its issues, and runs of real clients against malformed streams (openai-python 3.57, openai-node 6.49, AI SDK 6.0,
LangChain 1.7, LiteLLM 1.110, pydantic-ai 2.66, LlamaIndex 0.8, semantic-kernel 1.45, opencode, anthropic-python 2.14, the
TypeScript SDK 1.14, Claude Code 2.0).
"""

from __future__ import annotations

from typing import Final, NamedTuple

DEFECTS: Final[dict[str, str]] = {
    # chat completions
    "C02": "`[DONE]` is all that comes (to 0.31)",
    "C03": "a cut call is labelled complete (to 0.30)",
    "C06": "reasoning is called `reasoning_content` (to 0.15) or `reasoning` (from 0.11.1 on)",
    "C10": "`tool_calls` is an empty list (0.17, 0.20–0.22)",
    "C12": "chunks come after the finish reason (reported, not reproduced)",
    "C15": "one parser serves all `n` choices, so their calls mix (0.17)",
    "C16": "`tool_calls` is the reason, and no call came (all, per parser)",
    "C17": "the arguments come a second time at the end (all, per parser)",
    "C18": "a later piece repeats `id`, `type` and `name`, or has them as null (0.14–0.22)",
    "C19": "the first piece of a call has no `arguments` (all)",
    "C20": "a call leaks into the content (all, per parser)",
    "C21": "control tokens in `function.name` (gpt-oss, 0.10–0.24)",
    "C22": "a name is cut short or doubled (to 0.23; 0.28 with n-grams)",
    "C23": "a brace, a value or the end of arguments is lost (all, per parser)",
    "C25": "reasoning in the content, or the answer in the reasoning (all, per parser)",
    "C26": "one delta has text and reasoning, or text and a call (all)",
    "C27": "several calls in one chunk (all)",
    "C28": "calls are numbered wrong (0.10–0.20)",
    "C29": "deltas and pieces that say nothing (all)",
    "C30": "`finish_reason` is `abort`, `error` or `repetition` (all)",
    "C31": "an exception of a parser ends the stream with a false 400 (all, per parser)",
    "C32": "details of usage",
    "C33": "`logprobs.refusal` is missing (all)",
    "C34": "the stream has no end (all)",
    "C35": "a forced call is absent or mislabelled (0.10–0.2x)",
    "C36": "any `stop` string puts text and tokens out of step (all)",
    "C37": "a stop string hit in a call is labelled complete (all)",
    "C38": "a call that was cut before its arguments comes as `{}` (0.24)",
    "C40": "gpt-oss: headers of harmony leak when they are cut (0.32)",
    "C41": "gpt-oss: stop strings are not removed (0.17, 0.32)",
    "C42": "gpt-oss, several tokens a step: the tail of a call goes to the next index (0.17)",
    "C43": "`type` is null in later pieces (0.17, 0.20)",
    "C44": "head and arguments of one call are two elements of one chunk (0.17, 0.20)",
    "C45": "the arguments come again in another spelling (0.17, 0.32)",
    "C46": "the last brace is lost (0.17, 0.32)",
    "C48": "calls come though the request wants none, or are swallowed (0.20, 0.32)",
    "C49": "a name is cut short by the token limit (0.17, 0.32)",
    "C52": "the first delta of a choice has no role, or later ones have it too (gateways)",
    # completions
    "L01": "the endings of chat: C02, C30, C34",
    "L02": "`text_offset` is shifted by the prompt's length after the first chunk (to 0.24)",
    # messages
    "A01": "`message_start.message` has no `type` and `role` (0.11.1–0.23)",
    "A02": "`[DONE]` at the end (to 0.18)",
    "A03": "the text of an error is the dump of an object (to 0.32)",
    "A06": "`message_start.message` has no `usage` (to 0.12), `stop_reason` and `stop_sequence` (to 0.16)",
    "A07": "arguments in the first piece of a call are dropped (0.11.1–0.16)",
    "A10": "text under an open call (0.11.1–0.16)",
    "A11": "text between the pieces of a call closes it (0.17–0.22)",
    "A12": "`end_turn` with a call (0.11.1–0.31)",
    "A13": "`tool_use`, and no call (all)",
    "A14": "`delta.stop_sequence` is missing (0.11.1–0.28)",
    "A15": "a thinking block starts without `signature` (from 0.17 on)",
    "A16": "a cut call says `tool_use` (0.11.1–0.30)",
    "A17": "an aborted message has `stop_reason` null (all)",
    "A18": "the type of an error is none of Anthropic's (0.11.1–0.32)",
    "A19": "the open block is stopped before an error (0.33)",
    "A20": "`message_stop` without `message_start` (0.11.1–0.31)",
    "A22": "the stream has no end (all)",
    "A23": "`partial_json` is null (0.11.1–0.16)",
    # audio
    "T01": "vLLM's own chunks instead of OpenAI's events (all)",
    "T03": "no `index` in choices, and a finish per piece of audio (all)",
    "T05": "no done event after an error, and the endings of chat (all)",
}
"""By their ids in the recordings' catalogue, in one line each, with the releases in which they were seen or read."""


class Note(NamedTuple):
    """What is known of one rule."""

    defects: tuple[str, ...]
    breaks: str


_FRAMES: Final[dict[str, Note]] = {
    "frame_shape": Note((), "Decoders that are stricter or simpler than the standard lose the event."),
    "json": Note((), "openai-python and the AI SDK raise; others skip the event."),
}

_CHUNKS: Final[dict[str, Note]] = {
    **_FRAMES,
    "done_marker": Note(
        (), "Clients that wait for it hang until the connection ends; what follows it is never read."
    ),
    "chunk_fields": Note(
        ("C32",),
        "Types refuse it; openai-python, semantic-kernel and LlamaIndex raise without `choices`.",
    ),
    "chunk_identity": Note((), "openai-node's helper takes a new `id` for a new answer."),
    "choices_list": Note((), "Code that reads `choices[0]` raises."),
    "finish_reason": Note(
        ("C30",), "Types refuse it; semantic-kernel raises, opencode asks again for ever, LiteLLM fails."
    ),
    "after_finish": Note(("C12",), "LangChain joins two reasons to `stopstop`; most have closed the answer."),
    "end": Note(
        ("C34", "C02"), "Seven of twelve clients take the cut answer for whole; opencode asks again for ever."
    ),
    "usage_counts": Note(("C32",), "Types refuse it; bills are wrong."),
    "usage_chunk": Note(("C32",), "Clients that were promised usage have none, or count twice."),
    "usage_continuous": Note((), "Progress that is shown goes back."),
    "error_shape": Note(
        ("C31",), "The AI SDK overlooks an error beside `choices`; others lose its message or its class."
    ),
    "error_code": Note(("C31",), "pydantic-ai and LiteLLM do not try again."),
    "after_error": Note((), "Nobody reads it."),
}

CHAT: Final[dict[str, Note]] = {
    **_CHUNKS,
    "choice_index": Note(
        (), "openai-python's helper numbers choices by their first appearance and raises, or mixes them."
    ),
    "choice_fields": Note(
        ("C33",), "openai-python's helper and LiteLLM raise; LangChain and pydantic-ai lose the reason."
    ),
    "delta_fields": Note(("C23",), "Types refuse it; `create` shows `[object Object]` or raises."),
    "role": Note(
        ("C52",),
        "openai-node's helper raises without one; openai-python's joins two to `assistantassistant`.",
    ),
    "delta_empty": Note(("C29",), "Harmless in all clients that were tested."),
    "delta_kinds": Note(("C26",), "Continue keeps the text only."),
    "reasoning_names": Note(("C06",), "What is shown depends on the name that a client reads."),
    "tool_calls_list": Note(("C10",), "Code that asks for `is not None` takes it for a call."),
    "calls_in_delta": Note(("C27", "C44"), "LlamaIndex loses all but the first."),
    "call_index": Note(
        ("C28", "C42", "C15"),
        "The helpers raise; two calls on one number become one, or lose arguments.",
    ),
    "call_order": Note(("C15",), "LlamaIndex makes a call of every change."),
    "call_head": Note(
        ("C15", "C42"),
        "The helpers, the AI SDK and opencode raise; answers to the call cannot be matched.",
    ),
    "call_head_arguments": Note(("C19",), "JavaScript that joins strings gets `undefined{`."),
    "call_piece": Note(
        ("C18", "C43"),
        "openai-python's helper asserts; others join `get_weatherget_weather`.",
    ),
    "call_piece_nulls": Note(("C18",), "Harmless in all clients that were tested."),
    "call_piece_empty": Note(("C29",), "Harmless in all clients that were tested."),
    "call_id": Note((), "Two answers go to one call."),
    "call_name": Note(("C21", "C22", "C49"), "Clients find no such tool; some end the turn, some raise."),
    "call_unasked": Note(("C48",), "Clients find no such tool."),
    "arguments_missing": Note(("C23", "C03"), "The AI SDK runs the tool with `{}`; others fail to parse it."),
    "arguments_cut": Note(
        ("C03", "C23", "C37", "C46"), "LangChain runs the tool with `{}`; others hand on half a string."
    ),
    "arguments_excess": Note(("C17", "C45"), "No client can parse it."),
    "arguments_required": Note(("C38",), "The tool runs with nothing."),
    "arguments_json": Note(
        ("C23",), "No client can parse it. Models write such arguments by themselves, too."
    ),
    "finish_calls": Note(
        ("C16", "C35", "C42"), "opencode asks again for ever; Roo and Spring AI do not run the call."
    ),
    "forced_call": Note(("C35",), "The caller has no call where it must have one."),
    "call_markup": Note(("C20", "C40"), "The call is shown as text and never runs."),
    "thought_markup": Note(("C25", "C36"), "The tags are shown."),
    "stop_string": Note(("C41",), "The string is shown."),
    "logprobs": Note(("C33",), "Types and the AI SDK refuse the chunk."),
    "logprobs_refusal": Note(("C33",), "Code that reads both lists fails."),
    "logprobs_missing": Note(("C33",), "Probabilities and texts are out of step."),
}

COMPLETIONS: Final[dict[str, Note]] = {
    **{
        rule: note._replace(defects=("L01",)) if rule in ("finish_reason", "end") else note
        for rule, note in _CHUNKS.items()
    },
    "choice_index": Note((), "Clients mix the choices, or index beyond their list."),
    "choice_fields": Note((), "Types refuse the chunk; code that joins texts raises."),
    "logprobs": Note((), "Types refuse the chunk; code that walks the lists together raises."),
    "logprobs_missing": Note((), "Probabilities and texts are out of step."),
    "text_offset": Note(("L02",), "Evaluations score the wrong tokens."),
    "stop_string": Note((), "The string is shown."),
}

MESSAGES: Final[dict[str, Note]] = {
    **_FRAMES,
    "done_marker": Note(("A02",), "Strict parsers fail."),
    "event_type": Note((), "The AI SDK refuses the stream; openly typed clients skip it."),
    "event_line": Note((), "anthropic-python skips a frame without the line: an error in it is never seen."),
    "start_first": Note(("A20",), "anthropic-python raises."),
    "start_once": Note((), "The TypeScript SDK raises."),
    "message_fields": Note((), "Types and the AI SDK refuse it."),
    "message_role": Note(("A01",), "Types refuse it; newer releases of Claude Code ask again for ever."),
    "message_usage": Note(
        ("A06",), "Both SDK helpers and the AI SDK raise; Claude Code asks again without streaming."
    ),
    "message_stops": Note(("A06",), "Code that reads them fails."),
    "block_index": Note(("A10",), "anthropic-python raises, the TypeScript SDK loses text."),
    "block_open": Note(
        ("A10", "A11"), "Claude Code loses blocks that are never stopped; helpers write into the wrong one."
    ),
    "block_overlap": Note((), "Claude Code and the AI SDK lose the first call."),
    "block_fields": Note((), "Types refuse it; answers to the call cannot be matched."),
    "block_signature": Note(
        ("A15",), "Types refuse it; code that sends the block back has no signature to send."
    ),
    "opened_empty": Note((), "Clients that begin from the start, and those that begin from nothing, differ."),
    "delta_kind": Note(("A10",), "The helpers drop it; the AI SDK fails, Claude Code asks again."),
    "delta_fields": Note(("A23",), "The helpers raise; Claude Code dies."),
    "thinking_end": Note(
        (), "Clients send the block back without a signature, or with half of its text unsigned."
    ),
    "call_id": Note((), "Two answers go to one call."),
    "call_name": Note(("C21", "C22", "C49"), "Clients find no such tool."),
    "call_unasked": Note(("C48",), "Clients find no such tool."),
    "forced_call": Note(("C35",), "The caller has no call where it must have one."),
    "input_cut": Note(
        ("A16", "A11", "C37", "C46"), "Claude Code, LangChain and both SDKs run the tool with `{}`."
    ),
    "input_excess": Note(("C17", "C45"), "No client can parse it."),
    "input_json": Note(("C23",), "No client can parse it. Models write such input by themselves, too."),
    "input_required": Note(("A07", "C38"), "The tool runs with nothing."),
    "message_delta": Note((), "The stop reason and the usage are lost, or counted twice."),
    "stop_reason": Note(("A17",), "Clients take the cut text for the answer."),
    "stop_reason_calls": Note(
        ("A12", "A13"), "Loops of agents stop at `end_turn`, or wait for a call that is not there."
    ),
    "stop_sequence": Note(("A14",), "Code that reads it fails."),
    "usage": Note((), "anthropic-python and the TypeScript SDK raise without it."),
    "end": Note(("A22",), "anthropic-python and LangChain take the cut answer for whole; Claude Code dies."),
    "after_end": Note((), "Nobody reads it."),
    "error_shape": Note(("A03", "A18"), "Clients cannot know whether to try again."),
    "stop_before_error": Note(("A19",), "Claude Code takes the cut text for the answer and ends well."),
    "call_markup": Note(("C20", "C40"), "The call is shown as text and never runs."),
    "thought_markup": Note(("C25", "C36"), "The tags are shown."),
    "stop_string": Note(("C41",), "The string is shown."),
}

TRANSCRIPTIONS: Final[dict[str, Note]] = {
    **{rule: _CHUNKS[rule] for rule in _CHUNKS if rule != "after_finish"},
    "end": Note(("T05",), "The cut text is taken for whole."),
    "finish_reason": Note(("T05",), "The cut text is taken for whole."),
    "event_type": Note(("T01",), "No SDK of OpenAI can read the stream."),
    "event_fields": Note((), "Types refuse it."),
    "text_sum": Note((), "What was shown and what is kept differ."),
    "token_usage": Note((), "Types refuse it; bills are wrong."),
    "logprobs": Note((), "Types refuse it."),
    "after_done": Note((), "Nobody reads it."),
    "done_event": Note(("T05",), "The whole text never comes."),
    "choice_fields": Note(("T03",), "Clients written for vLLM raise."),
}

NOTES: Final[dict[str, dict[str, Note]]] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "messages": MESSAGES,
    "transcriptions": TRANSCRIPTIONS,
}
"""By family, then by rule."""
