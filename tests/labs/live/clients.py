"""The real clients of tests/labs/clients, with their drivers and their installation, against a real vLLM.

Each has the same conversation three times: over the perfect stream of what the model says, with vLLM itself, and with vLLM
through the proxy. The first is the measure of the others.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.labs.clients.conversations import finished
from tests.labs.clients.installation import CLIENTS, Client, InstallationError
from tests.labs.clients.judge import Outcome, Run, history_of
from tests.labs.clients.runner import Bench, Driver, DriverError
from tests.labs.clients.scenarios import steps_of
from tests.labs.live.dialogues import BY_NAME, Call, after_output
from tests.labs.live.judge import client_outcome, short
from tests.support.streams import call, message, reasoning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.labs.clients.conversations import Turn
    from tests.labs.live.dialogues import Dialogue
    from tests.labs.live.setup import Setup
    from tests.labs.live.wire import Tap

LIMIT_SECONDS = 90
"""How long a conversation may take: Codex tries a broken stream again and waits in between."""
CONVERSATIONS = {"text": "math", "tools": "weather", "preamble": "preamble", "parallel": "two-calls"}
"""Conversations, and the dialogue that each is about."""
SHELL_CONVERSATIONS = {"text": "math", "tools": "shell", "preamble": "shell-preamble"}
"""The same for Codex, which has tools of its own only."""
KEY = "live"
LIVE_CLIENTS: tuple[Client, ...] = tuple(
    variant
    for client in CLIENTS
    for variant in (
        (
            client,
            replace(
                client,
                name="codex-alone",
                title="Codex, `--disable multi_agent`",
                arguments=("--disable", "multi_agent"),
            ),
        )
        if client.name == "codex"
        else (client,)
    )
)
"""The clients of tests/labs/clients, and Codex once more without tools of a type that vLLM's harmony path refuses."""


def conversations(client: Client, *, harmony: bool) -> dict[str, Dialogue]:
    """Return the conversations that a client has. Harmony calls one tool at a time."""
    names = SHELL_CONVERSATIONS if client.tool.name == "exec_command" else CONVERSATIONS
    return {
        name: BY_NAME[dialogue] for name, dialogue in names.items() if not (harmony and name == "parallel")
    }


def perfect(dialogue: Dialogue, *, harmony: bool) -> list[Turn]:
    """Return the turns of a dialogue as OpenAI's API streams them."""
    lives = [reasoning(0, *_pieces(dialogue.thought))] if dialogue.thought else []
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
            reasoning(0, "The tool", " has answered.", id_="rs_8"),
            message(1, *_pieces(after_output(dialogue, harmony=harmony)), id_="msg_9"),
        ]
        turns.append(finished(*after, number=2))
    return turns


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


async def run_clients(setup: Setup, chosen: Sequence[str]) -> dict[str, Any]:
    """Run these clients, or all; return versions and outcomes of each: `[before, after]`, either as [sign, why]."""
    made: dict[str, Any] = {}
    async with Bench() as bench:
        for client in LIVE_CLIENTS:
            if chosen and client.name not in chosen:
                continue
            try:
                client.environment.install()
                made[client.name] = await _run_client(setup, bench, client)
            except (InstallationError, DriverError) as error:
                sys.stdout.write(f"  {client.name} cannot be run: {error}\n")
    return made


async def _run_client(setup: Setup, bench: Bench, client: Client) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    async with Driver(client) as driver:
        for name, dialogue in conversations(client, harmony=setup.way.is_harmony).items():
            reference = None
            if setup.way.model:
                steps = [steps_of(turn) for turn in perfect(dialogue, harmony=setup.way.is_harmony)]
                reference = await bench.run(driver, steps, through_proxy=False)
            both = []
            for tap in (setup.before_server, setup.before_proxy):
                sign, why = client_outcome(await converse(driver, tap, dialogue), reference)
                both.append([sign, *([why] if why else [])])
            outcomes[name] = both
            if both[1][0] != Outcome.SAME:
                sys.stdout.write(short(f"  {client.name} {name}: {both[0][0]} → {both[1]}") + "\n")
    return {"versions": driver.versions, "outcomes": outcomes}


async def converse(driver: Driver, tap: Tap, dialogue: Dialogue) -> Run:
    """Have one conversation by way of this tap, which has seen what was posted."""
    tap.forget()
    job = {"base_url": f"{tap.url}/v1", "key": KEY, "prompt": dialogue.user, "tool": driver.client.tool.name}
    began = time.monotonic()
    result = await driver.converse(job, LIMIT_SECONDS)
    posts = [json.loads(post.body) for post in tap.posts()]
    seconds = time.monotonic() - began
    if result is None:
        return Run(posts=len(posts), seconds=seconds, hung=True)
    return Run(**result, posts=len(posts), history=history_of(posts), seconds=seconds)
