"""The golden of each repair: a broken stream as it was sent, what the proxy makes of it, and where it comes from.

A golden is a folder of `tests/recordings` named after its repair: `upstream.sse`, `expected.sse`, `origin.toml`, and
`request.json` where the repair looks at the request. Those of another family than Responses have its name and a hyphen before
that of the repair.
`python -m tests.support.goldens [NAME ...]` writes `expected.sse` again. Read what it wrote before you commit it: it is
what the code does, not what the protocol wants.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.replay import normalize
from vllm_sse_proxy import BodyEnd, Dialect, Plan, Reasoning
from vllm_sse_proxy.families import FAMILIES, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vllm_sse_proxy import StreamNormalizer
    from vllm_sse_proxy.stream.family import Family

RECORDINGS = Path(__file__).parents[1] / "recordings"


@dataclass(frozen=True)
class Golden:
    """One broken stream and its repair.

    :ivar end: how upstream's body stopped.
    :ivar reasoning: the setting under which the repair is wanted.
    :ivar dialect: the same.
    :ivar request: what is known of the request's body; None for nothing.
    """

    family: Family
    name: str
    folder: Path
    release: str
    source: str
    defects: tuple[str, ...]
    symptom: str
    end: BodyEnd
    reasoning: Reasoning
    dialect: Dialect
    recording: str | None
    request: dict[str, Any] | None

    @property
    def upstream(self) -> bytes:
        return (self.folder / "upstream.sse").read_bytes()

    @property
    def expected(self) -> bytes:
        return (self.folder / "expected.sse").read_bytes()

    def repaired(self, disabled: Sequence[str] = ()) -> tuple[bytes, StreamNormalizer]:
        """Return what the core makes of it; strict where every repair is on."""
        return self.run([self.upstream], disabled)

    def run(
        self, chunks: Iterable[bytes], disabled: Sequence[str] = (), end: BodyEnd | None = None
    ) -> tuple[bytes, StreamNormalizer]:
        """Send these bytes through the core under the golden's settings."""
        plan = Plan.of(
            self.family, disabled, strict=not disabled, reasoning=self.reasoning, dialect=self.dialect
        )
        context = self.family.context("", self.request)
        return normalize(chunks, end or self.end, plan=plan, context=context)


def load_golden(folder: Path) -> Golden:
    """Read a golden's origin; an unknown or missing field raises."""
    origin = tomllib.loads((folder / "origin.toml").read_text("utf-8"))
    family, name = _named(folder.name)
    request = folder / "request.json"
    return Golden(
        family=family,
        name=name,
        folder=folder,
        end=BodyEnd(origin.pop("end")),
        reasoning=Reasoning(origin.pop("reasoning", Reasoning.RAW)),
        dialect=Dialect(origin.pop("dialect", Dialect.OPENAI)),
        defects=tuple(origin.pop("defects")),
        recording=origin.pop("recording", None),
        request=json.loads(request.read_bytes()) if request.exists() else None,
        **origin,
    )


def _named(folder: str) -> tuple[Family, str]:
    """Return the family and the repair that a folder is named after."""
    prefix, hyphen, name = folder.partition("-")
    family = next((one for one in FAMILIES if hyphen and one.name == prefix), RESPONSES)
    return (family, folder) if family is RESPONSES else (family, name)


def load_goldens(family: Family = RESPONSES) -> list[Golden]:
    """Return the goldens of a family, in order of their names."""
    paths = sorted(RECORDINGS.glob("*/origin.toml"))
    return [load_golden(path.parent) for path in paths if _named(path.parent.name)[0] is family]


def main(arguments: Sequence[str]) -> int:
    """Write `expected.sse` of the named goldens again, of all without names; return how many changed."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.goldens", description=main.__doc__)
    parser.add_argument("name", nargs="*", help="a repair; all without names")
    names = parser.parse_args(arguments).name
    changed = 0
    for golden in (golden for family in FAMILIES for golden in load_goldens(family)):
        if names and golden.folder.name not in names:
            continue
        made, _ = golden.repaired()
        file = golden.folder / "expected.sse"
        if not file.exists() or file.read_bytes() != made:
            file.write_bytes(made)
            sys.stdout.write(f"{file.relative_to(RECORDINGS.parents[1])}\n")
            changed += 1
    return changed


if __name__ == "__main__":
    main(sys.argv[1:])
