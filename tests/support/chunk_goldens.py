"""The goldens of the families of chunk streams: folders `tests/recordings/FAMILY-NAME`, as those of Responses.

`origin.toml` may name a request file beside it (`request.json`). `python -m tests.support.chunk_goldens [NAME ...]` writes
`expected.sse` again.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.goldens import RECORDINGS
from tests.support.replay import normalize
from vllm_sse_proxy import BodyEnd, Plan
from vllm_sse_proxy.families import CHAT, COMPLETIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vllm_sse_proxy import StreamNormalizer
    from vllm_sse_proxy.families.chunks import ChunkFamily

FAMILIES: dict[str, ChunkFamily] = {family.name: family for family in (CHAT, COMPLETIONS)}


@dataclass(frozen=True)
class ChunkGolden:
    """One broken stream and its repair."""

    family: ChunkFamily
    name: str
    folder: Path
    release: str
    source: str
    defects: tuple[str, ...]
    symptom: str
    end: BodyEnd
    recording: str | None

    @property
    def upstream(self) -> bytes:
        return (self.folder / "upstream.sse").read_bytes()

    @property
    def expected(self) -> bytes:
        return (self.folder / "expected.sse").read_bytes()

    @property
    def request(self) -> Any:
        file = self.folder / "request.json"
        return json.loads(file.read_bytes()) if file.exists() else None

    def run(
        self, chunks: Iterable[bytes], disabled: Sequence[str] = (), end: BodyEnd | None = None
    ) -> tuple[bytes, StreamNormalizer]:
        """Send these bytes through the core; strict where every repair is on."""
        plan = Plan.of(self.family, disabled, strict=not disabled)
        return normalize(chunks, end or self.end, plan=plan, context=self.family.context("", self.request))

    def repaired(self, disabled: Sequence[str] = ()) -> tuple[bytes, StreamNormalizer]:
        """Return what the core makes of it."""
        return self.run([self.upstream], disabled)


def load_golden(folder: Path) -> ChunkGolden:
    """Read a golden's origin; an unknown or missing field raises."""
    origin = tomllib.loads((folder / "origin.toml").read_text("utf-8"))
    family, _, name = folder.name.partition("-")
    return ChunkGolden(
        family=FAMILIES[family],
        name=name,
        folder=folder,
        end=BodyEnd(origin.pop("end")),
        defects=tuple(origin.pop("defects")),
        recording=origin.pop("recording", None),
        **origin,
    )


def load_chunk_goldens() -> list[ChunkGolden]:
    """Return every golden of these families, in order of their names."""
    paths = [path.parent for family in FAMILIES for path in RECORDINGS.glob(f"{family}-*/origin.toml")]
    return [load_golden(path) for path in sorted(paths)]


def main(names: Sequence[str]) -> None:
    """Write `expected.sse` of the named goldens again, of all without names."""
    for golden in load_chunk_goldens():
        if not names or golden.folder.name in names:
            (golden.folder / "expected.sse").write_bytes(golden.repaired()[0])


if __name__ == "__main__":
    main(sys.argv[1:])
