"""Why a cell of the table is not as on a perfect stream although the stream went through the proxy.

A test requires an explanation for every such cell, and a cell for every explanation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """One reason, and the outcomes that it stands for.

    :ivar scenarios: a regular expression for whole names of scenarios; ``letters``: the outcomes that it explains.
    :ivar clients: names; all without.
    """

    title: str
    text: str
    scenarios: str
    letters: str
    clients: tuple[str, ...] = ()

    def explains(self, client: str, scenario: str, letter: str) -> bool:
        """Return whether it is about this outcome."""
        return (
            re.fullmatch(self.scenarios, scenario) is not None
            and (not self.clients or client in self.clients)
            and letter in self.letters
        )


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "White space before a call.",
        "The line break ahead of `<tool_call>` is streamed before the marker is there, as text, and "
        "stays. The call itself is emitted as a call and run.",
        r"calls-as-text/.*",
        "T",
    ),
    Explanation(
        "A call that nothing proves.",
        "Up to 0.13 the final output is empty, so nothing says that the streamed text is a call. It is "
        "emitted as the text that it came as: tool names and arguments are never guessed.",
        r"calls-as-text-unproven/.*",
        "C",
    ),
    Explanation(
        "Too late for the order.",
        "A message that only the terminal event shows is emitted after what was streamed. The client has "
        "all of it, and posts it back behind the call.",
        r"(message-unsent|preamble-unsent)/preamble",
        "I",
    ),
    Explanation(
        "Reasoning that may go on.",
        "Reasoning that 0.18.1 closes as an empty message may have lost its end, which the terminal event holds. So it is "
        "closed there, behind the call, and Codex posts items back in the order in which they closed.",
        r"closed-as-message/tools",
        "I",
        ("codex",),
    ),
    Explanation(
        "What was streamed stands.",
        "The end of the reasoning came as the answer, or the beginning of the answer was lost. Deltas "
        "cannot be recalled: the client sees what was streamed, and the right text after it "
        "([limits](limits.md#what-was-said-cannot-be-unsaid)). Codex reads done items only, in which "
        "upstream was right: here it is better off without the proxy.",
        r"(wrong-channel|reasoning-in-message)/reasoning",
        "T",
    ),
    Explanation(
        "Cut arguments of a call that is not the last.",
        "The first of two calls is closed before the terminal event shows the end of its "
        "arguments. Only the closings of the last item wait for it. Clients that read the terminal event "
        "alone get both calls.",
        r"arguments-cut/parallel",
        "CE",
    ),
    Explanation(
        "A limit that nobody reports.",
        "0.12.0 says `completed` everywhere ([limits](limits.md#what-was-never-sent-cannot-be-known)).",
        r"limit-unreported/text",
        "ST",
    ),
    Explanation(
        "Two forms are two thoughts.",
        "With `reasoning = summary` the thought is emitted as a summary and as raw text. These clients show both, so "
        "they show it twice. They need no summary: leave the setting at `raw` for them.",
        r"summary-asked/.*",
        "R",
        ("ai-sdk-open-responses", "llama-index"),
    ),
    Explanation(
        "Raw reasoning is posted back as reasoning.",
        "pydantic-ai posts a bare summary back as a message between `<think>` tags. Where there is raw text too, it posts "
        "that back, as the reasoning item that it is.",
        r"summary-asked/tools",
        "I",
        ("pydantic-ai",),
    ),
    Explanation(
        "A partial answer counts as one.",
        "When a response fails, the proxy closes open messages and reasoning as incomplete "
        "([why](adr/0011-cut-calls.md)). Codex takes what is done for whole: it shows the partial text "
        "with every retry and keeps it in the history.",
        r"(cut|cut-in-event|ends|reset|silence|error-untyped|error-fork|error-flat|failed-only)/.*",
        "TI",
        ("codex",),
    ),
)

CHAT_EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "A server without a parser of reasoning.",
        "Nothing but the tags says that the text is reasoning, and its operator may want it there. Tags are "
        "taken out only where a parser is at work: in `reasoning-tail-in-text`.",
        r"reasoning-in-text/.*",
        "TR",
    ),
)
MESSAGES_EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "Words that came into a call stand behind it.",
        "One block is open at a time, so they wait for the end of the call. The client has all of them, and "
        "posts them back behind the call. Claude Code shows them as a text of their own.",
        r"text-in-call/preamble",
        "IT",
    ),
    Explanation(
        "Two recordings whose requests name stop strings, and tools of their own.",
        "The clients of this laboratory ask for neither, and only the request says that a text is a stop string, or a "
        "call. With their own requests both leave right: the goldens `messages-stop_strings` and `messages-call_texts`.",
        r"recorded/(call_texts|stop_strings)",
        "CST",
    ),
)
