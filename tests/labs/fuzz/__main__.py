"""Fuzz one target with atheris: `python -m tests.labs.fuzz TARGET SECONDS CORPUS`; see `make fuzz`.

Targets are `decoder`, `normalizer` (of Responses, whose judge must find nothing) and the name of each other family.

libFuzzer ends the process itself: with 0 when the time is up, else with an input that breaks an invariant, beside the corpus.
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.labs.fuzz import seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vllm_sse_proxy import Plan

# By name: it has no types, and is not a dependency of the project.
atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(
    include=["vllm_sse_proxy.sse", "vllm_sse_proxy.stream", "vllm_sse_proxy.families"]
):
    from tests.labs.fuzz import invariants

FRAMES = seeds.frames()
MOST_PIECES = 40
MOST_CUTS = 6


def data_of(given: Any) -> bytes:
    """Put an input together: frames of real streams, whole or damaged, words of the format, and any bytes."""
    pieces: list[bytes] = []
    while given.remaining_bytes() > 0 and len(pieces) < MOST_PIECES:
        match given.ConsumeIntInRange(0, 5):
            case 0:
                pieces.append(given.ConsumeBytes(given.ConsumeIntInRange(0, 60)))
            case 1:
                pieces.append(seeds.FIELDS[given.ConsumeIntInRange(0, len(seeds.FIELDS) - 1)])
            case 2:
                frame = bytearray(FRAMES[given.ConsumeIntInRange(0, len(FRAMES) - 1)])
                for _ in range(given.ConsumeIntInRange(1, 4)):
                    frame[given.ConsumeIntInRange(0, len(frame) - 1)] = given.ConsumeIntInRange(0, 255)
                pieces.append(bytes(frame))
            case 3:
                frame = bytearray(FRAMES[given.ConsumeIntInRange(0, len(FRAMES) - 1)])
                at = given.ConsumeIntInRange(0, len(frame))
                pieces.append(
                    bytes(frame[:at])
                    + given.ConsumeBytes(given.ConsumeIntInRange(0, 8))
                    + bytes(frame[at + 1 :])
                )
            case _:
                pieces.append(FRAMES[given.ConsumeIntInRange(0, len(FRAMES) - 1)])
    return b"".join(pieces)


def decoder(given: bytes) -> None:
    """Fuzz the decoder with bytes as they come: it is the one that reads them."""
    places = given[:MOST_CUTS]
    invariants.check_decoder(given[MOST_CUTS:], [place * 7 for place in places])


def normalizer(given: bytes) -> None:
    """Fuzz the normalizer with streams made of parts of real ones."""
    hold(given, invariants.PLANS, invariants.check_normalizer)


def hold(given: bytes, plans: Sequence[Plan], check: Callable[..., None]) -> None:
    """Hold an invariant on a stream made of parts of real ones, with one of these plans."""
    provider = atheris.FuzzedDataProvider(given)
    places = [provider.ConsumeIntInRange(0, 5_000) for _ in range(MOST_CUTS)]
    end = invariants.ENDS[provider.ConsumeIntInRange(0, len(invariants.ENDS) - 1)]
    check(data_of(provider), places, end, plan=plans[provider.ConsumeIntInRange(0, len(plans) - 1)])


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "decoder": decoder,
    "normalizer": normalizer,
    **{
        name: partial(hold, plans=plans, check=invariants.check_family)
        for name, plans in invariants.FAMILY_PLANS.items()
    },
}


def main() -> None:
    """Run one target."""
    target, seconds, folder = sys.argv[1:4]
    corpus = Path(folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, body in enumerate(seeds.bodies()):
        (corpus / f"seed-{number}").write_bytes(body[:4096])
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            "-max_len=4096",
            "-timeout=20",
            "-print_final_stats=1",
            f"-artifact_prefix={folder}-",
            folder,
        ],
        TARGETS[target],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
