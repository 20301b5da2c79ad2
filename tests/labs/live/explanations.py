"""Why something of a real vLLM is not right although it went through the proxy.

A test requires an explanation for everything that is not, and something that is not for every explanation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """One reason, and what it stands for.

    :ivar scenarios: a regular expression for `row: name`, `client: conversation` or `endpoint: name`, whole.
    :ivar ways: the same for the ways through vLLM; ``releases``: for releases.
    """

    title: str
    text: str
    scenarios: str
    ways: str = ".*"
    releases: str = ".*"


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "References to stored items.",
        "In the second turn the AI SDK names the reasoning instead of sending it (`item_reference`), and vLLM "
        "answers 400 (0.24.0: 500, and the AI SDK posts again). These runs are older than the request repairs, which put the "
        "items in.",
        r"ai-sdk-openai: (tools|preamble|parallel)",
        releases=r"0\.24\.0",
    ),
    Explanation(
        "Tools that harmony refuses.",
        "Codex sends the tools of its sub-agents as one tool of type `namespace`, and vLLM's harmony path answers 400. "
        "These runs are older than the request repairs, which make functions of them.",
        r"codex: .*",
        ways=r"harmony.*",
        releases=r"0\.24\.0",
    ),
    Explanation(
        "Words that several tokens a step cost.",
        "0.24.0's harmony path streams the first words of some texts under another channel, or not at all (R10): `.2` of "
        '"2 + 2 equals 4.", `Let` of "Let me check". The deltas stand, and the proxy has the whole text follow as a '
        "message of its own, so nothing is lost and the fragment is heard too. Codex, which reads items when they are done, "
        "saw the right text alone without the proxy; through it, it shows the fragment before it.",
        r"(codex-alone: .*|langchain: preamble|[^:]*: text)",
        ways=r"harmony-8",
        releases=r"0\.24\.0",
    ),
    Explanation(
        "Headers of harmony in the text.",
        "Where the token limit or a forced call cuts harmony's own headers, vLLM streams the rest of them as text. The proxy "
        "leaves them out, and what is behind them with them; the comparison counts every word.",
        r"(chat|messages): .*/(required-time|named-time|any-time|note-5|weather-20)",
        ways=r"harmony",
    ),
    Explanation(
        "A stop string in what was thought.",
        "gpt-oss's path leaves the string that ended the answer where it was written, the simple path takes it out (C41), and "
        "so does the proxy; the comparison counts its word.",
        r"(chat|messages): .*/stop",
        ways=r"harmony",
    ),
    Explanation(
        "A budget of thinking that harmony does not have.",
        "The first stream that asks for one is an error without the proxy, and HTTP 400 through it. From then on the model is "
        "known to have none, and the next stream passes.",
        r"messages: messages/thinking",
        ways=r"harmony",
    ),
    Explanation(
        "Words and calls that 0.17.0 loses.",
        "Where tokens come together, as on a busy machine, its parsers lose the last words of a thought, words before a "
        "call, the end of a call or all of it, or end one with less than it began with: another time the same client gets all "
        "of it, with the proxy and without. The proxy cannot know what was lost; a call without its end becomes an error, "
        "where the SDKs ran it without arguments.",
        r"(chat|messages)/[^:]*: .*",
        releases=r"0\.17\.0",
    ),
    Explanation(
        "Calls of two choices that 0.17.0 mixes up.",
        "With `n: 2`, its hermes parser sends the beginning of each call to one choice and the rest to both: "
        '`{"city": "{"city": "Paris"}` there, ` "Paris"}` here. The first choice leaves with its calls, the beginning once '
        "(C45), which the comparison counts as a word that is lost; the other, whose calls have no beginning, ends with an "
        "error.",
        r"chat: chat/two-choices-calls",
        ways=r"simple",
        releases=r"0\.17\.0",
    ),
    Explanation(
        "One call at a time.",
        "LlamaIndex asks for `parallel_tool_calls: false`, and vLLM leaves the second call out. The perfect stream, "
        "which is the measure, has both.",
        r"(chat/)?llama-index: parallel",
    ),
)
