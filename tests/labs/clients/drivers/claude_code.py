"""Claude Code: `claude -p`, with vLLM as the address of Anthropic's API, as its users configure it.

Claude Code runs its own tools: the model calls `Bash`. Everything that it would load or report from elsewhere is switched off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Job, Result, answer_lines

CLAUDE = Path(sys.argv[1]) / "node_modules" / ".bin" / "claude"
STARTING_SECONDS = 60
ITS_OWN = "<synthetic>"
"""The model of messages that Claude Code writes itself: its errors."""


class TurnFailedError(Exception):
    """What Claude Code says at the end of a turn that failed."""


def environment(home: str, job: Job) -> dict[str, str]:
    """Return its environment: of ours it gets the path alone, so no key of whoever runs this leaves the machine."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "IS_SANDBOX": "1",
        "ANTHROPIC_BASE_URL": job.base_url.removesuffix("/v1"),
        "ANTHROPIC_API_KEY": job.key,
        "ANTHROPIC_MODEL": "tiny",
        "ANTHROPIC_SMALL_FAST_MODEL": "tiny",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "500",
        "CLAUDE_CODE_MAX_RETRIES": "1",  # so that a run ends soon
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
    }


def run(job: Job, result: Result) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, work = Path(folder) / "home", Path(folder) / "work"
        home.mkdir()
        work.mkdir()
        done = subprocess.run(
            [
                str(CLAUDE), "-p", job.prompt, "--output-format", "stream-json", "--verbose",
                "--allowedTools", "Bash",
            ],
            env=environment(str(home), job), cwd=work, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
    texts, calls, failure = [], {}, None
    for line in done.stdout.splitlines():
        event = json.loads(line)
        content = event.get("message", {}).get("content") if event["type"] in ("assistant", "user") else None
        for block in content if isinstance(content, list) else ():
            match block["type"]:
                case "text" if event["type"] == "assistant" and event["message"]["model"] != ITS_OWN:
                    texts.append(block["text"])
                case "thinking":
                    result.reasoning += block["thinking"]
                case "tool_use":
                    calls[block["id"]] = [block["input"]]
                    result.calls.append((block["name"], calls[block["id"]]))
                case "tool_result":
                    calls[block["tool_use_id"]] += [block["content"], block.get("is_error")]
        if event["type"] == "result":
            result.finish, said = event["subtype"], event.get("result")
            result.final, failure = (None, said) if event["is_error"] else (said, None)
    result.text = "|".join(texts)
    if failure is not None:
        raise TurnFailedError(failure)
    if done.returncode:
        raise TurnFailedError(done.stderr.decode(errors="replace")[-300:])


if __name__ == "__main__":
    printed = subprocess.run(
        [str(CLAUDE), "--version"], capture_output=True, text=True, check=True, timeout=STARTING_SECONDS
    )
    answer_lines({"@anthropic-ai/claude-code": printed.stdout.split()[0]}, run)
