"""opencode: `opencode serve`, what is behind its screen and `opencode run`, with vLLM as an openai-compatible provider.

Each conversation has a folder with a configuration and tools of its own, as users write them. When an error is reported,
opencode shows it and asks again, five times at most, after 2, 4, 8, 16 and 30 seconds: a conversation ends here where it
first waits, with the error. Nothing is loaded from elsewhere. With the argument `run`, a conversation is one `opencode run`
instead, to its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from harness import MOST_TURNS, Job, Result, answer_lines

OPENCODE = Path(sys.argv[1]) / "node_modules" / "opencode-linux-x64" / "bin" / "opencode"
STARTING_SECONDS = 60
NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there: whatever opencode would load from elsewhere fails at once."""
TOOL = "export default {{ description: {description}, args: {properties}, execute: async () => '21 degrees' }};\n"
INSTALLED = {"lockfileVersion": 3, "packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}
"""By this opencode knows that the types for tools are installed, which it would load from npm otherwise."""


class SessionError(Exception):
    """An error that opencode shows, by its name."""


class RetryError(SessionError):
    """An error that opencode shows while it waits to ask again."""


def environment(home: Path) -> dict[str, str]:
    """Return its environment: of ours it gets the path alone, so no key of whoever runs this leaves the machine."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1,localhost",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }


def configuration(job: Job) -> dict[str, object]:
    """Return what a user writes into opencode.json."""
    options = {"baseURL": job.base_url, "apiKey": job.key}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"tiny": {}}}
    return {
        "$schema": "https://opencode.ai/config.json",
        "model": "vllm/tiny",
        "small_model": "vllm/tiny",
        "provider": {"vllm": provider},
        "permission": "allow",
    }


def set_installed(folder: Path) -> None:
    """Make a folder of configuration that needs nothing from npm."""
    (folder / "node_modules").mkdir(parents=True)
    (folder / "package-lock.json").write_text(json.dumps(INSTALLED), "utf-8")


def set_up(folder: Path, job: Job) -> None:
    """Write configuration and tools of a conversation."""
    (folder / "opencode.json").write_text(json.dumps(configuration(job)), "utf-8")
    set_installed(folder / ".opencode")
    tools = folder / ".opencode" / "tools"
    tools.mkdir()
    for tool in job.tools:
        properties = json.dumps(tool["parameters"].get("properties", {}))
        written = TOOL.format(description=json.dumps(tool.get("description", "")), properties=properties)
        (tools / f"{tool['name']}.js").write_text(written, "utf-8")


class Server:
    """`opencode serve`, for all conversations."""

    def __init__(self, home: Path) -> None:
        set_installed(home / ".config" / "opencode")
        self._process = subprocess.Popen(
            [str(OPENCODE), "serve", "--port", "0", "--print-logs"], env=environment(home), cwd=home,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "listening on" in line:
                self.address = line.split("//")[-1].strip()
                break
        else:
            raise SessionError("opencode did not start")
        threading.Thread(target=self._process.stdout.read, daemon=True).start()  # or it waits for a reader

    def open(self, path: str, folder: Path, body: dict | None = None) -> HTTPResponse:
        """Ask it for something of the conversation in this folder: post a body, or get."""
        headers = {"Content-Type": "application/json", "x-opencode-directory": str(folder)}
        connection = HTTPConnection(self.address)
        connection.request(
            *(("GET", path) if body is None else ("POST", path, json.dumps(body))), headers=headers
        )
        return connection.getresponse()

    def call(self, path: str, folder: Path, body: dict | None = None) -> dict:
        """Post to it; return what it answers."""
        with self.open(path, folder, body or {}) as answer:
            return json.loads(answer.read() or "{}")


class Screen:
    """What the user of one conversation sees: the parts of the answers, in their order."""

    def __init__(self) -> None:
        self._parts: dict[str, dict] = {}
        self._answers: set[str] = set()

    @property
    def turns(self) -> int:
        """How many answers have begun."""
        return len(self._of("step-start"))

    def _of(self, kind: str) -> list[dict]:
        return [
            part
            for part in self._parts.values()
            if part["type"] == kind and part["messageID"] in self._answers
        ]

    def take(self, kind: str, said: dict) -> None:
        """Take an event."""
        if kind == "message.updated" and said["info"]["role"] == "assistant":
            self._answers.add(said["info"]["id"])
        elif kind == "message.part.updated":
            self._parts[said["part"]["id"]] = said["part"]
        elif kind == "message.part.delta" and said["partID"] in self._parts:
            part = self._parts[said["partID"]]
            part[said["field"]] = part.get(said["field"], "") + said["delta"]

    def write(self, result: Result) -> None:
        """Write what came into a result."""
        result.text = "".join(part["text"] for part in self._of("text"))
        result.reasoning = "".join(part["text"] for part in self._of("reasoning"))
        result.calls = [
            (part["tool"], [part["state"]["input"], part["state"]["status"], part["state"].get("output")])
            for part in self._of("tool")
        ]
        reasons = [part["reason"] for part in self._of("step-finish")]
        result.finish = reasons[-1] if reasons else None


def run(job: Job, result: Result) -> None:
    screen = Screen()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        set_up(folder, job)
        try:
            converse(folder, job, screen)
        finally:
            screen.write(result)
            SERVER.call("/instance/dispose", folder)


def converse(folder: Path, job: Job, screen: Screen) -> None:
    """Ask, and take what comes until opencode is done, has an error to show, or asks without end."""
    with SERVER.open("/event", folder) as events:
        session = SERVER.call("/session", folder, {"title": "weather"})["id"]
        SERVER.call(
            f"/session/{session}/prompt_async", folder, {"parts": [{"type": "text", "text": job.prompt}]}
        )
        for event in (json.loads(line[6:]) for line in events if line.startswith(b"data: ")):
            said = event["properties"]
            screen.take(event["type"], said)
            if event["type"] == "session.status" and said["status"]["type"] == "retry":
                SERVER.call(f"/session/{session}/abort", folder)
                raise RetryError(said["status"]["message"])
            if event["type"] == "session.error":
                raise SessionError(f"{said['error']['name']}: {said['error']['data'].get('message')}")
            if event["type"] == "session.idle":
                return
            if screen.turns > MOST_TURNS:
                SERVER.call(f"/session/{session}/abort", folder)
                return


def run_once(job: Job, result: Result) -> None:
    """Have a conversation as one `opencode run`."""
    with tempfile.TemporaryDirectory() as name:
        home, work = Path(name) / "home", Path(name) / "work"
        set_installed(home / ".config" / "opencode")
        work.mkdir()
        set_up(work, job)
        done = subprocess.run(
            [str(OPENCODE), "run", "--format", "json", "--title", "weather", job.prompt],
            env=environment(home), cwd=work, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
    for line in done.stdout.splitlines():
        event = json.loads(line)
        if event["type"] == "error":
            error = event["error"]
            raise SessionError(f"{error['name']}: {error['data'].get('message')}")
        if event["type"] == "text":
            result.text += event["part"]["text"]
    if done.returncode:
        raise SessionError(done.stderr.decode(errors="replace")[-300:])


if __name__ == "__main__":
    printed = subprocess.run(
        [str(OPENCODE), "--version"], capture_output=True, text=True, check=True, timeout=STARTING_SECONDS
    )
    versions = {"opencode-ai": printed.stdout.strip()}
    if sys.argv[2:] == ["run"]:
        answer_lines(versions, run_once)
        sys.exit()
    with tempfile.TemporaryDirectory() as home:
        SERVER = Server(Path(home))
        answer_lines(versions, run)
