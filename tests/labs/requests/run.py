"""Requests of real clients, with the proxy and without it.

`python -m tests.labs.requests.run` posts every captured request to scripted servers that refuse as vLLM 0.12.0, 0.24.0 and
0.32.0 do (messages: 0.17.0 and 0.32.0). `--upstream URL --model NAME` posts them to a real one; `--keep "0.32.0 simple"` keeps
the statuses of messages under that name. `--clients` runs Codex and the AI SDK, whole turns, against
the scripted 0.32.0 harmony; with `--upstream`, one turn each against the real server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from tests.labs.clients.installation import CODEX, NodeEnvironment
from tests.labs.requests.upstream import AgentUpstream
from tests.support import message_requests
from tests.support.refusals import SERVERS
from tests.support.refusing import RefusingUpstream
from tests.support.replay import faults
from tests.support.requests import captured
from tests.support.serving import Serving
from tests.support.streams import message, reasoning, whole, wire
from tests.support.upstream import stream as scripted
from vllm_sse_proxy.families.messages.conformance import CONTENT, check_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]

HERE: Final = Path(__file__).parent
GPT_OSS: Final = "openai/gpt-oss-20b"
HARMONY: Final = SERVERS[-1]
SHORT: Final[Json] = {"max_output_tokens": 12, "temperature": 0}
"""Answers of a real model need not be long."""
CALLED: Final[dict[str, Json]] = {
    "apply_patch_call": {"operation": {"type": "create_file", "path": "a.txt", "diff": "+hi"}},
    "custom_tool_call": {"name": "write_file", "input": "hi"},
    "shell_call": {"action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}},
}
"""What calls that are only referred to were made with."""
CLIENT_SECONDS: Final = 120
REQUEST_SECONDS: Final = 120
CONFIG: Final = """\
model = {model}
model_provider = "vllm"

[model_providers.vllm]
name = "vLLM"
base_url = {base_url}
env_key = "VLLM_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

[mcp_servers.notes]
command = {python}
args = [{notes}]

[analytics]
enabled = false
"""
"""Codex's defaults, and an MCP server."""
PATCH: Final = "*** Begin Patch\n*** Add File: made.txt\n+hello\n*** End Patch\n"
TURNS: Final[tuple[tuple[str, str, Mapping[str, Json]], ...]] = (
    ("an answer", GPT_OSS, {}),
    ("a shell command", GPT_OSS, {"exec_command": {"cmd": "echo hello"}}),
    ("an MCP tool", GPT_OSS, {"add_note": {"text": "milk"}}),
    ("a sub-agent", GPT_OSS, {"spawn_agent": {"message": "Say hi."}}),
    ("a free-form patch", "gpt-5.5", {"apply_patch": {"input": PATCH}}),
    ("a search for tools", "gpt-5.5", {"tool_search": {"query": "notes"}, "add_note": {"text": "milk"}}),
)  # fmt: skip
"""What the model does, the model's name (Codex sends other tools for names that it knows), and its calls."""


async def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", help="URL of a vLLM")
    parser.add_argument("--model", default=GPT_OSS, help="the model's name there")
    parser.add_argument("--clients", action="store_true", help="run Codex and the AI SDK")
    parser.add_argument(
        "--keep", metavar="NAME", help="keep the statuses of messages as those of this server"
    )
    asked = parser.parse_args()
    if asked.clients:
        await run_clients(asked.upstream, asked.model)
    elif asked.upstream:
        await post_all(asked.upstream, asked.upstream, shortened(of_responses(asked.model)))
        statuses = await post_all(asked.upstream, asked.upstream, shortened(of_messages(asked.model)))
        if asked.keep:
            keep(asked.keep, statuses)
    else:
        for server in SERVERS:
            async with RefusingUpstream(server, version=f"{server.release}.0") as upstream:
                model = GPT_OSS if server.harmony else "m"
                await post_all(upstream.url, server.name, of_responses(model), prime=upstream)
        for messages_server in message_requests.SERVERS:
            async with message_requests.RefusingMessages(messages_server) as refusing:
                await post_all(refusing.url, messages_server.name, of_messages("m"))


@dataclass(frozen=True)
class Captured:
    """One captured request.

    :ivar check: returns what is wrong with the answer's stream.
    """

    title: str
    path: str
    body: Json
    check: Callable[[bytes], list[str]] = faults


def of_responses(model: str) -> list[Captured]:
    """Return the captured requests of the Responses API."""
    return [Captured(title, "/v1/responses", {**body, "model": model}) for title, body in captured().items()]


def of_messages(model: str) -> list[Captured]:
    """Return the captured requests of Anthropic messages."""
    return [
        Captured(f"messages/{title}", one["path"], {**one["body"], "model": model}, messages_faults)
        for title, one in message_requests.captured().items()
    ]


def messages_faults(stream: bytes) -> list[str]:
    """Return what is wrong with a stream of messages, whatever the model wrote into it."""
    return [str(one) for one in check_stream(stream) if one.rule not in CONTENT]


def shortened(requests: list[Captured]) -> list[Captured]:
    """Return the requests with answers that are soon over: those of a real model need not be long."""
    made = []
    for one in requests:
        if one.path == "/v1/responses":
            made.append(replace(one, body={**one.body, **SHORT}))
            continue
        body = dict(one.body)
        thinking = body.get("thinking") or {}
        if "max_tokens" in body:  # counting tokens has none
            body["temperature"] = 0
            if thinking.get("budget_tokens", sys.maxsize) < body["max_tokens"]:
                body |= {"thinking": {**thinking, "budget_tokens": 1024}, "max_tokens": 1025}
            elif "budget_tokens" not in thinking:
                body["max_tokens"] = SHORT["max_output_tokens"]
        made.append(replace(one, body=body))
    return made


def turn_before(body: Json) -> bytes:
    """Return the stream that a request's references to items name; nothing for a request without any."""
    asked = body.get("input")
    items = [one for one in asked if isinstance(one, dict)] if isinstance(asked, list) else []
    lives: list[tuple[list[Json], Json]] = []
    for place, item in enumerate(items):
        if item.get("type") != "item_reference":
            continue
        index, id_ = len(lives), str(item["id"])
        if id_.startswith("rs_"):
            lives.append(reasoning(index, "I think.", id_=id_))
        elif id_.startswith("msg_"):
            lives.append(message(index, "Hello.", id_=id_))
        else:
            lives.append(called(index, id_, items[place + 1]))
    return wire(whole(*lives, tools=body.get("tools") or [])) if lives else b""


def called(index: int, id_: str, output: Json) -> tuple[list[Json], Json]:
    """Return the events and the done item of the call that an output answers."""
    type_ = output["type"].removesuffix("_output")
    done = {"id": id_, "type": type_, "call_id": output["call_id"], "status": "completed", **CALLED[type_]}
    place = {"output_index": index}
    return [
        {"type": "response.output_item.added", **place, "item": {**done, "status": "in_progress"}},
        {"type": "response.output_item.done", **place, "item": done},
    ], done


async def post_all(
    upstream: str, name: str, requests: list[Captured], *, prime: RefusingUpstream | None = None
) -> dict[str, tuple[int, int]]:
    """Post every captured request to upstream and to a proxy before it, and print how many were accepted, and what was not.

    :param prime: the upstream, if it can be asked for the turn before a request that refers to items of it.
    :returns: the statuses, without the proxy and with it.
    """
    statuses: dict[str, tuple[int, int]] = {}
    said: list[str] = []
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with Serving(upstream) as proxy, aiohttp.ClientSession(timeout=timeout) as session:
        for one in requests:
            raw = orjson.dumps(one.body)
            if prime is not None and (turn := turn_before(one.body)):
                prime.answer(*scripted(turn))
                await post(session, proxy.url + one.path, b'{"model":"m","input":"Hi","stream":true}')
            before, first = await post(session, upstream + one.path, raw)
            after, answer = await post(session, proxy.url + one.path, raw)
            statuses[one.title] = before, after
            if after != HTTPStatus.OK:
                same = "as without the proxy" if answer == first else "NOT AS WITHOUT THE PROXY"
                said.append(f"  {one.title}: {after} {same}: {answer[:100].decode(errors='replace')}")
            elif one.body.get("stream"):
                said += [f"  {one.title}: {fault}" for fault in one.check(answer)[:2]]
    direct, accepted = (sum(both[side] == HTTPStatus.OK for both in statuses.values()) for side in (0, 1))
    where = requests[0].path
    print_lines(
        [
            f"{name} {where}: of {len(requests)} requests {direct} are accepted, with the proxy {accepted}",
            *said,
        ]
    )
    return statuses


async def post(session: aiohttp.ClientSession, url: str, body: bytes) -> tuple[int, bytes]:
    """Return status and body of the answer to a request."""
    headers = {"Content-Type": "application/json"}
    async with session.post(url, data=body, headers=headers) as answer:
        try:
            return answer.status, await answer.read()
        except aiohttp.ClientPayloadError:
            return (
                answer.status,
                b"",
            )  # it was accepted, and broke off: some releases do that to some requests


def keep(server: str, statuses: Mapping[str, tuple[int, int]]) -> None:
    """Keep the statuses of messages: what the tables and `tests/support/message_requests.py` are held to."""
    file = message_requests.RESULTS
    known: dict[str, dict[str, int]] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    made = dict(known)
    for title, (before, after) in statuses.items():
        name = title.removeprefix("messages/")
        made[name] = {**known.get(name, {}), server: before, f"{server} repaired": after}
    lines = [f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in made.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


async def run_clients(upstream: str | None, model: str) -> None:
    """Run both clients, without the proxy and with it."""
    ai_sdk = NodeEnvironment("node")
    ai_sdk.install()
    CODEX.install()
    driver = ai_sdk.folder / "ai_turns.mjs"
    driver.write_bytes((HERE / "drivers" / "ai_turns.mjs").read_bytes())
    if upstream is not None:
        async with Serving(upstream) as proxy:
            for where, url in (("without", upstream), ("with the proxy", proxy.url)):
                print_lines([f"Codex, {where}: {await codex(url, model)}"])
                print_lines([f"AI SDK, {where}, {line}" for line in await ai_lines(driver, url, model)])
        return
    for what, name, calls in TURNS:
        for where in ("without", "with the proxy"):
            async with AgentUpstream(HARMONY, calls) as agent, Serving(agent.url) as proxy:
                outcome = await codex(agent.url if where == "without" else proxy.url, name)
                print_lines([f"Codex, {what}, {where}: {outcome} (statuses of vLLM: {agent.statuses})"])
    for where in ("without", "with the proxy"):
        async with (
            AgentUpstream(HARMONY, {"add_note": {"text": "milk"}}) as agent,
            Serving(agent.url) as proxy,
        ):
            url = agent.url if where == "without" else proxy.url
            print_lines([f"AI SDK, {where}, {line}" for line in await ai_lines(driver, url, GPT_OSS)])


async def codex(url: str, model: str) -> str:
    """Run one turn of `codex exec`, and return what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        home, work = prepared(Path(folder), url, model)
        command = [
            str(CODEX.folder / "node_modules" / ".bin" / "codex"),
            *(
                "exec",
                "--json",
                "--skip-git-repo-check",
                "--dangerously-bypass-approvals-and-sandbox",
                "Do it.",
            ),
        ]
        env = {**os.environ, "HOME": str(home), "CODEX_HOME": str(home), "VLLM_KEY": "k"}
        printed = await output_of(command, env=env, cwd=str(work))
        said = files_in(work)
    for line in printed.splitlines():
        with contextlib.suppress(ValueError):
            said += outcome_of(json.loads(line))
    return "; ".join(said)


def files_in(folder: Path) -> list[str]:
    """Return what was made in a folder."""
    return [f"made {path.name}" for path in folder.iterdir()]


def prepared(folder: Path, url: str, model: str) -> tuple[Path, Path]:
    """Make Codex's home with its configuration, and a folder to work in."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    notes = str(HERE / "drivers" / "notes.py")
    values = {"model": model, "base_url": f"{url}/v1", "python": sys.executable, "notes": notes}
    spelled = {name: json.dumps(value) for name, value in values.items()}
    (home / "config.toml").write_text(CONFIG.format(**spelled), "utf-8")
    return home, work


def outcome_of(event: Json) -> list[str]:
    """Return what an event of Codex says of the outcome."""
    item = event.get("item", {})
    if event["type"] == "item.completed" and item["type"] in ("agent_message", "reasoning"):
        return [f"{item['type']} {item['text'][:60]!r}"]
    if event["type"] == "item.completed" and item["type"] != "error":
        return [f"{item['type']} {item.get('status')}"]
    if event["type"] == "turn.failed":
        return [f"TURN FAILED: {event['error']['message'][:90]}"]
    return ["turn completed"] if event["type"] == "turn.completed" else []


async def ai_lines(driver: Path, url: str, model: str) -> list[str]:
    """Return what the AI SDK's driver prints."""
    printed = await output_of(["node", str(driver), f"{url}/v1", model])
    return [line for line in printed.splitlines() if ": " in line]


async def output_of(command: list[str], *, env: dict[str, str] | None = None, cwd: str | None = None) -> str:
    """Return what a program prints; one that takes too long is stopped."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), CLIENT_SECONDS)
    except TimeoutError:
        process.kill()
        out, _ = await process.communicate()
    return out.decode(errors="replace")


def print_lines(lines: list[str]) -> None:
    """Print lines at once."""
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
