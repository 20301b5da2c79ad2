"""The clients and where they are installed: each by the file that pins it, in a folder of the cache.

The cache (`.clients`, or CLIENTS_CACHE) is made again, part by part, when a pinning file changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.labs import ROOT
from tests.labs.clients.conversations import BASH, SHELL, WEATHER, Tool

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("CLIENTS_CACHE", ROOT / ".clients")).absolute()
INSTALLATION_SECONDS = 3600
"""How long an installation, or the training of a model for `live`, may take: gigabytes are loaded, on two busy cores."""


class InstallationError(Exception):
    """A client cannot be installed: what is missing, or what the installer said last."""


@dataclass(frozen=True)
class PythonEnvironment:
    """Python packages in a virtual environment of their own.

    :ivar home: the folder that has the pinning files in `requirements`, and the drivers in `drivers`.
    """

    name: str
    home: Path = HERE

    @property
    def pins(self) -> Path:
        return self.home / "requirements" / f"{self.name}.txt"

    @property
    def folder(self) -> Path:
        return CACHE / self.name

    def install(self) -> None:
        """Make the environment, unless it is there as it is pinned."""
        if _is_ready(self.folder, [self.pins]):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(self.folder)])
        pip = [str(self.folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        run([*pip, "install", "--quiet", "--requirement", str(self.pins)])
        _set_ready(self.folder, [self.pins])

    def command(self, driver: str, *arguments: str) -> list[str]:
        """Return the command that runs a driver."""
        return [str(self.folder / "bin" / "python"), str(self.home / "drivers" / driver), *arguments]


@dataclass(frozen=True)
class NodeEnvironment:
    """npm packages, with the drivers beside them: Node looks for packages where the importing file is."""

    name: str
    home: Path = HERE

    @property
    def pins(self) -> list[Path]:
        folder = self.home / "requirements" / self.name
        return [folder / name for name in ("package.json", "package-lock.json")]

    @property
    def folder(self) -> Path:
        return CACHE / self.name

    def install(self) -> None:
        """Install the packages, unless they are there as they are pinned."""
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise InstallationError("there is no npm")
        if not _is_ready(self.folder, self.pins):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            for pins in self.pins:
                shutil.copy(pins, self.folder)
            run(["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(self.folder)])
            _set_ready(self.folder, self.pins)
        for driver in (self.home / "drivers").glob("*.mjs"):
            shutil.copy(driver, self.folder)

    def command(self, driver: str, *arguments: str) -> list[str]:
        """Return the command that runs a driver."""
        if driver.endswith(".py"):
            return [sys.executable, str(self.home / "drivers" / driver), str(self.folder), *arguments]
        return ["node", str(self.folder / driver), *arguments]


@dataclass(frozen=True)
class OwnEnvironment:
    """The environment that the tests run in: it has openai-python."""

    name: str = "own"

    @property
    def pins(self) -> Path:
        return ROOT / "pyproject.toml"

    def install(self) -> None:
        """Do nothing: whoever runs this has it."""

    def command(self, driver: str, *arguments: str) -> list[str]:
        """Return the command that runs a driver."""
        return [sys.executable, str(HERE / "drivers" / driver), *arguments]


Environment = PythonEnvironment | NodeEnvironment | OwnEnvironment
OWN = OwnEnvironment()
PYTHON, LLAMA_INDEX = PythonEnvironment("python"), PythonEnvironment("llama-index")
NODE, NODE_OPENAI = NodeEnvironment("node"), NodeEnvironment("node-openai")
CODEX, CLAUDE_CODE = NodeEnvironment("codex"), NodeEnvironment("claude-code")
LITELLM, SEMANTIC_KERNEL = PythonEnvironment("litellm"), PythonEnvironment("semantic-kernel")
OPENCODE = NodeEnvironment("opencode")


@dataclass(frozen=True)
class Client:
    """A client in one way of using it.

    :ivar tool: the function that the model calls; Codex has tools of its own.
    :ivar title: as the table calls it.
    """

    name: str
    title: str
    environment: Environment
    driver: str
    arguments: tuple[str, ...] = ()
    tool: Tool = WEATHER

    @property
    def command(self) -> list[str]:
        return self.environment.command(self.driver, *self.arguments)


CLIENTS: tuple[Client, ...] = (
    Client("openai-python", "openai-python, raw", PYTHON, "openai_python.py", ("create",)),
    Client("openai-python-stream", "openai-python, `stream`", PYTHON, "openai_python.py", ("stream",)),
    Client("codex", "Codex", CODEX, "codex.py", tool=SHELL),
    Client("openai-node", "openai-node, raw", NODE, "openai_node.mjs", ("create",)),
    Client("openai-node-stream", "openai-node, `stream`", NODE, "openai_node.mjs", ("stream",)),
    Client("ai-sdk-openai", "AI SDK, openai", NODE, "ai_sdk.mjs", ("openai",)),
    Client("ai-sdk-open-responses", "AI SDK, open-responses", NODE, "ai_sdk.mjs", ("open-responses",)),
    Client("langchain", "LangChain", PYTHON, "langchain_openai_driver.py"),
    Client("agents", "Agents SDK", PYTHON, "openai_agents_driver.py"),
    Client("pydantic-ai", "pydantic-ai", PYTHON, "pydantic_ai_driver.py"),
    Client("llama-index", "LlamaIndex", LLAMA_INDEX, "llama_index_driver.py"),
)
CHAT_CLIENTS: tuple[Client, ...] = (
    Client("openai-python", "openai-python, raw", PYTHON, "chat_openai_python.py", ("create",)),
    Client("openai-python-stream", "openai-python, `stream`", PYTHON, "chat_openai_python.py", ("stream",)),
    Client("openai-node", "openai-node, raw", NODE, "chat_openai_node.mjs", ("create",)),
    Client("openai-node-stream", "openai-node, `stream`", NODE, "chat_openai_node.mjs", ("stream",)),
    Client("ai-sdk-openai", "AI SDK, openai", NODE, "ai_sdk.mjs", ("chat",)),
    Client("ai-sdk-compatible", "AI SDK, openai-compatible", NODE, "ai_sdk.mjs", ("openai-compatible",)),
    Client("langchain", "LangChain", PYTHON, "langchain_openai_driver.py", ("chat",)),
    Client("pydantic-ai", "pydantic-ai", PYTHON, "pydantic_ai_driver.py", ("chat",)),
    Client("llama-index", "LlamaIndex", LLAMA_INDEX, "llama_index_driver.py", ("chat",)),
    Client("opencode", "opencode", OPENCODE, "opencode.py"),
    Client("semantic-kernel", "semantic-kernel", SEMANTIC_KERNEL, "semantic_kernel_driver.py"),
    Client("litellm", "LiteLLM", LITELLM, "litellm_driver.py", ("openai",)),
)
MESSAGES_CLIENTS: tuple[Client, ...] = (
    Client("anthropic-python", "anthropic-python, `stream`", PYTHON, "anthropic_python.py"),
    Client("anthropic-node", "Anthropic's TypeScript SDK, `stream`", NODE, "anthropic_node.mjs"),
    Client("ai-sdk-anthropic", "AI SDK, anthropic", NODE, "ai_sdk.mjs", ("anthropic",)),
    Client("langchain-anthropic", "LangChain", PYTHON, "langchain_openai_driver.py", ("anthropic",)),
    Client("litellm-anthropic", "LiteLLM", LITELLM, "litellm_driver.py", ("anthropic",)),
    Client("claude-code", "Claude Code", CLAUDE_CODE, "claude_code.py", tool=BASH),
)


def _is_ready(folder: Path, pins: list[Path]) -> bool:
    mark = folder / ".ready"
    return mark.exists() and mark.read_text("utf-8") == _contents(pins)


def _set_ready(folder: Path, pins: list[Path]) -> None:
    (folder / ".ready").write_text(_contents(pins), "utf-8")


def _contents(pins: list[Path]) -> str:
    return "".join(file.read_text("utf-8") for file in pins)


def run(command: list[str], *, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output.

    :raises InstallationError: it failed; the message has its last words.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=INSTALLATION_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
        env=env,
    )
    if done.returncode:
        raise InstallationError(f"{' '.join(command[:4])} …: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout
