"""Codex: `codex exec`, with vLLM as a provider of its own, as its users configure it.

Codex runs its own tools: the model calls `exec_command`. Retries are limited to one, so that a run ends soon; how often the
turn is posted is counted by upstream. Arguments after the folder are options of `codex exec`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Job, Result, answer_lines

CODEX = Path(sys.argv[1]) / "node_modules" / ".bin" / "codex"
CONFIG = """\
model = "tiny"
model_provider = "vllm"
show_raw_agent_reasoning = {raw}

[model_providers.vllm]
name = "vLLM"
base_url = {base_url}
env_key = "VLLM_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1

[analytics]
enabled = false
"""
STARTING_SECONDS = 60


class TurnFailedError(Exception):
    """What Codex says at the end of a turn that failed."""


def run(job: Job, result: Result) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        (home / "config.toml").write_text(
            CONFIG.format(base_url=json.dumps(job.base_url), raw=json.dumps(job.reasoning == "raw")), "utf-8"
        )
        done = subprocess.run(
            [
                str(CODEX), "exec", *sys.argv[2:], "--json", "--skip-git-repo-check",
                "--dangerously-bypass-approvals-and-sandbox", job.prompt,
            ],
            # Its shell is a login shell: what the profile of whoever runs this prints must not become the output of a call.
            env={**os.environ, "HOME": str(home), "CODEX_HOME": str(home), "VLLM_KEY": job.key},
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
    messages, failure = [], None
    for line in done.stdout.splitlines():
        event = json.loads(line)
        item = event.get("item", {})
        if event["type"] == "item.completed" and item.get("type") == "agent_message":
            messages.append(item["text"])
        elif event["type"] == "item.completed" and item.get("type") == "reasoning":
            result.reasoning += item["text"]
        elif event["type"] == "item.completed" and item.get("type") == "command_execution":
            result.calls.append(
                ("exec_command", [item["command"], item["aggregated_output"], item["exit_code"]])
            )
        elif event["type"] == "turn.completed":
            result.finish = "completed"
        elif event["type"] == "turn.failed":
            failure = event["error"]["message"]
    result.calls.sort(key=str)  # they run side by side, and which is ready first is chance
    result.text, result.final = "|".join(messages), messages[-1] if messages else None
    if failure is not None:
        raise TurnFailedError(failure)
    if done.returncode:
        raise TurnFailedError(done.stderr.decode(errors="replace")[-300:])


if __name__ == "__main__":
    printed = subprocess.run(
        [str(CODEX), "--version"], capture_output=True, text=True, check=True, timeout=STARTING_SECONDS
    )
    answer_lines({"@openai/codex": printed.stdout.split()[-1]}, run)
