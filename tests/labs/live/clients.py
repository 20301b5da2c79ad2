"""The real clients of tests/labs/clients, with their drivers and their installation, against a real vLLM.

Each has the same conversation three times: over the perfect stream of what the model says, with vLLM itself, and with vLLM
through the proxy. The first is the measure of the others.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.labs.clients import chat_streams, messages_streams
from tests.labs.clients.conversations import BASH, finished
from tests.labs.clients.installation import (
    CHAT_CLIENTS,
    CLIENTS,
    MESSAGES_CLIENTS,
    Client,
    InstallationError,
)
from tests.labs.clients.judge import Outcome, Run, history_of
from tests.labs.clients.runner import Bench, Driver, DriverError
from tests.labs.clients.scenarios import steps_of
from tests.labs.live.dialogues import BY_NAME, Call, after_output
from tests.labs.live.judge import client_outcome, short
from tests.support.streams import call, message, reasoning, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.labs.clients.conversations import Turn
    from tests.labs.live.dialogues import Dialogue
    from tests.labs.live.setup import Setup
    from tests.labs.live.wire import Tap
    from tests.support.upstream import Step

LIMIT_SECONDS = 90
"""How long a conversation may take: Codex tries a broken stream again and waits in between."""
CONVERSATIONS = {"text": "math", "tools": "weather", "preamble": "preamble", "parallel": "two-calls"}
"""Conversations, and the dialogue that each is about."""
SHELL_CONVERSATIONS = {"text": "math", "tools": "shell", "preamble": "shell-preamble"}
"""The same for Codex, which has tools of its own only."""
BASH_CONVERSATIONS = {"text": "math", "tools": "bash", "preamble": "bash-preamble"}
"""The same for Claude Code. The tiny gpt-oss does not know a question with Claude Code's reminders around it."""
KEY = "live"
PATHS = {
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
}
"""Where the clients of a family post."""


@dataclass(frozen=True)
class LiveClient:
    """A client in one way of using it, and the family of what it is answered with.

    :ivar name: apart from the clients of other families.
    """

    client: Client
    family: str

    @property
    def name(self) -> str:
        return self.client.name if self.family == "responses" else f"{self.family}/{self.client.name}"

    @property
    def title(self) -> str:
        of = {"responses": "", "chat": ", chat completions", "messages": ", messages"}
        return self.client.title + of[self.family]


def _without_sub_agents(client: Client) -> Client:
    title, arguments = "Codex, `--disable multi_agent`", ("--disable", "multi_agent")
    return replace(client, name="codex-alone", title=title, arguments=arguments)


LIVE_CLIENTS: tuple[LiveClient, ...] = (
    *(
        LiveClient(variant, "responses")
        for client in CLIENTS
        for variant in ((client, _without_sub_agents(client)) if client.name == "codex" else (client,))
    ),
    *(LiveClient(client, "chat") for client in CHAT_CLIENTS),
    *(LiveClient(client, "messages") for client in MESSAGES_CLIENTS),
)
"""The clients of tests/labs/clients, and Codex once more without sub-agents."""


def conversations(client: Client, *, harmony: bool) -> dict[str, Dialogue]:
    """Return the conversations that a client has. Harmony calls one tool at a time."""
    by_tool = {"exec_command": SHELL_CONVERSATIONS, BASH.name: BASH_CONVERSATIONS}
    names = by_tool.get(client.tool.name, CONVERSATIONS)
    if harmony and client.tool is BASH:
        return {}
    return {
        name: BY_NAME[dialogue] for name, dialogue in names.items() if not (harmony and name == "parallel")
    }


def perfect(dialogue: Dialogue, *, harmony: bool, summarised: bool = False) -> list[Turn]:
    """Return the turns of a dialogue as OpenAI's API streams them.

    :param summarised: the client asks for a summary of the reasoning.
    """
    thought = summary if summarised else reasoning
    lives = [thought(0, *_pieces(dialogue.thought))] if dialogue.thought else []
    for part in dialogue.answer:
        index = len(lives)
        lives.append(
            call(index, *_pieces(part.arguments), name=part.name)
            if isinstance(part, Call)
            else message(index, *_pieces(part))
        )
    turns = [finished(*lives)]
    if dialogue.calls:
        after = [
            thought(0, "The tool", " has answered.", id_="rs_8"),
            message(1, *_pieces(after_output(dialogue, harmony=harmony)), id_="msg_9"),
        ]
        turns.append(finished(*after, number=2))
    return turns


def _perfect_chat(dialogue: Dialogue, *, harmony: bool) -> list[list[dict[str, Any]]]:
    """Return the turns of a dialogue as chunks of chat completions."""
    deltas = chat_streams.thought(*_pieces(dialogue.thought)) if dialogue.thought else []
    number = 0
    for part in dialogue.answer:
        if isinstance(part, Call):
            deltas += chat_streams.call(*_pieces(part.arguments), index=number, name=part.name)
            number += 1
        else:
            deltas += chat_streams.said(*_pieces(part))
    turns = [chat_streams.turn(*deltas, finish="tool_calls" if number else "stop")]
    if dialogue.calls:
        after = [
            *chat_streams.thought("The tool", " has answered."),
            *chat_streams.said(*_pieces(after_output(dialogue, harmony=harmony))),
        ]
        turns.append(chat_streams.turn(*after, number=2))
    return turns


def _perfect_messages(dialogue: Dialogue, *, harmony: bool) -> list[list[dict[str, Any]]]:
    """Return the turns of a dialogue as Anthropic's API streams them."""
    blocks = [messages_streams.thought(*_pieces(dialogue.thought))] if dialogue.thought else []
    for number, part in enumerate(dialogue.answer, 1):
        blocks.append(
            messages_streams.call(*_pieces(part.arguments), id_=f"toolu_{number}", name=part.name)
            if isinstance(part, Call)
            else messages_streams.said(*_pieces(part))
        )
    turns = [messages_streams.turn(*blocks, reason="tool_use" if dialogue.calls else "end_turn")]
    if dialogue.calls:
        words = _pieces(after_output(dialogue, harmony=harmony))
        after = [messages_streams.thought("The tool", " has answered."), messages_streams.said(*words)]
        turns.append(messages_streams.turn(*after, number=2))
    return turns


def perfect_steps(
    family: str, dialogue: Dialogue, *, harmony: bool, summarised: bool
) -> list[tuple[Step, ...]]:
    """Return the turns of a dialogue as a server of a family sends them."""
    match family:
        case "chat":
            return [chat_streams.steps_of(turn) for turn in _perfect_chat(dialogue, harmony=harmony)]
        case "messages":
            return [messages_streams.steps_of(turn) for turn in _perfect_messages(dialogue, harmony=harmony)]
        case _:
            return [steps_of(turn) for turn in perfect(dialogue, harmony=harmony, summarised=summarised)]


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


async def run_clients(setup: Setup, chosen: Sequence[str]) -> dict[str, Any]:
    """Run these clients, or all; return versions and outcomes of each: `[before, after]`, either as [sign, why]."""
    made: dict[str, Any] = {}
    async with Bench() as bench:
        for live in LIVE_CLIENTS:
            if chosen and live.name not in chosen and live.family not in chosen:
                continue
            if not conversations(live.client, harmony=setup.way.is_harmony):
                continue
            try:
                live.client.environment.install()
                made[live.name] = await _run_client(setup, bench, live)
            except (InstallationError, DriverError) as error:
                sys.stdout.write(f"  {live.name} cannot be run: {error}\n")
    return made


async def _run_client(setup: Setup, bench: Bench, live: LiveClient) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    harmony = setup.way.is_harmony
    async with Driver(live.client) as driver:
        for name, dialogue in conversations(live.client, harmony=harmony).items():
            runs = []
            summarised = False
            for tap in (setup.before_server, setup.before_proxy):
                runs.append(await converse(driver, tap, dialogue, live.family))
                summarised = any(asks_for_summary(post) for post in posted(tap, live.family))
            reference = None
            if setup.way.model:
                steps = perfect_steps(live.family, dialogue, harmony=harmony, summarised=summarised)
                reasoning_ = "summary" if summarised else "raw"
                tools = _tools(live.family)
                reference = await bench.run(
                    driver, steps, through_proxy=False, reasoning=reasoning_, tools=tools
                )
            both = []
            for run in runs:
                sign, why = client_outcome(run, reference)
                both.append([sign, *([why] if why else [])])
            outcomes[name] = both
            if both[1][0] != Outcome.SAME:
                sys.stdout.write(short(f"  {live.name} {name}: {both[0][0]} → {both[1]}") + "\n")
    return {"versions": driver.versions, "outcomes": outcomes}


def _tools(family: str) -> list[dict[str, Any]]:
    """Return the tools that a client is made to offer; those of the Responses API have their own."""
    return [] if family == "responses" else [dict(tool) for tool in chat_streams.TOOLS]


def posted(tap: Tap, family: str) -> list[dict[str, Any]]:
    """Return what was posted to a family's endpoint, as JSON."""
    return [json.loads(post.body) for post in tap.posts(PATHS[family])]


def asks_for_summary(post: dict[str, Any]) -> bool:
    """Return whether a request asks for a summary of the reasoning: then that is what OpenAI's API streams."""
    asked = post.get("reasoning")
    return isinstance(asked, dict) and asked.get("summary") is not None


async def converse(driver: Driver, tap: Tap, dialogue: Dialogue, family: str) -> Run:
    """Have one conversation by way of this tap, which has seen what was posted."""
    tap.forget()
    job = {
        "base_url": f"{tap.url}/v1", "key": KEY, "prompt": dialogue.user, "tool": driver.client.tool.name,
        "tools": _tools(family),
    }  # fmt: skip
    began = time.monotonic()
    result = await driver.converse(job, LIMIT_SECONDS)
    posts = posted(tap, family)
    seconds = time.monotonic() - began
    if result is None:
        return Run(posts=len(posts), seconds=seconds, hung=True)
    return Run(**result, posts=len(posts), history=history_of(posts), seconds=seconds)
