"""Compile the core with mypyc: the same Python, three times as fast (ADR 80).

hatchling runs this when it builds a wheel with HATCH_BUILD_HOOKS_ENABLE=1 in the environment, as the Dockerfile and `make
compiled` do. Without that variable the wheel holds Python only, and nothing more is needed to build it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator

CORE: Final = (
    "vllm_sse_proxy/sse",
    "vllm_sse_proxy/stream",
    "vllm_sse_proxy/families/chunk_repairs.py",
    "vllm_sse_proxy/families/chunks.py",
    "vllm_sse_proxy/families/markup.py",
    "vllm_sse_proxy/families/partial_json.py",
    "vllm_sse_proxy/families/chat",
    "vllm_sse_proxy/families/completions",
    "vllm_sse_proxy/families/messages",
    "vllm_sse_proxy/families/requests",
    "vllm_sse_proxy/families/responses",
    "vllm_sse_proxy/families/texts",
    "vllm_sse_proxy/families/transcriptions",
)
"""Packages, and modules that stand alone."""
SOURCES: Final = "proxy"
NOT_COMPILED: Final = {
    "conformance.py": "judges streams for tests and `check`, and is in no stream's way",
    "response_judging.py": "is a part of such a judge",
    "ending.py": "an enumeration with a constructor of its own, which mypyc cannot call",
}
"""Modules of the core that stay Python, and why."""


class CompiledCore(BuildHookInterface[Any]):
    """hatchling's way in. An editable install stays Python, so that what is edited is what runs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the results packed beside their sources."""
        if version == "editable":
            return
        self._folder = TemporaryDirectory()
        for path, place in compiled(Path(self.root), Path(self._folder.name)):
            build_data["force_include"][str(path)] = str(place)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove what was packed."""
        if version != "editable":
            self._folder.cleanup()


def compiled(root: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Compile the core below ``root`` into ``folder``; yield each file, and its place in the wheel."""
    root = root / SOURCES
    os.chdir(root)  # mypyc names modules by their paths from here
    sources = [
        path.relative_to(root).as_posix()
        for package in CORE
        for path in sorted((root / package).rglob("*.py")) or [root / package]
        if path.name not in NOT_COMPILED
    ]
    extensions = mypycify(
        ["--config-file=", "--strict", *sources],
        opt_level=os.environ.get("MYPYC_OPT_LEVEL", "2"),  # a test of what is right need not be fast
        debug_level="0",
        target_dir=str(folder / "c"),
        group_name="vllm_sse_proxy",
    )
    for extension in extensions if sys.platform == "linux" else ():
        # No function is replaced, nor called from outside, so calls may go straight and what is inlined everywhere is left
        # out. What gcc could warn of in one file of 680,000 lines takes it as long as to compile them.
        extension.extra_compile_args += ["-fno-semantic-interposition", "-fvisibility=hidden", "-Wno-all"]
        extension.extra_link_args += ["-Wl,-Bsymbolic"]
    build = Distribution({"name": "vllm-sse-proxy", "ext_modules": extensions}).get_command_obj("build_ext")
    build.build_lib, build.build_temp = str(folder / "lib"), str(folder / "objects")
    build.ensure_finalized()
    build.run()
    for output in build.get_outputs():
        yield Path(output), Path(output).relative_to(folder / "lib")
