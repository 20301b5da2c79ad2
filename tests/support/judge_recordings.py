# ruff: noqa: T201 - a command prints
"""Judge recorded streams as they came from vLLM: `python -m tests.support.judge_recordings FOLDER...`.

Prints for each release and family how many streams conform, then every rule that is broken: in how many streams, in which
releases, and by which known defects. A recording is `NAME.sse` with `NAME.req.json` and `NAME.meta.json` beside it, and its
release is the name of its folder. Three shares are given: the first counts every rule, the second leaves out those that the
official types and helpers let pass (`MINOR` of each judge), the third also those about what the model wrote (`CONTENT`).
With `--repaired` it judges what the proxy makes of them, where it repairs their family; `--compare` prints both shares.

`--rule NAME` lists the streams that break a rule, with what is wrong; `--all` lists all of them. Streams that the recorder
itself left are counted apart: they have no end that could be judged.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.catalogue import DEFECTS, NOTES
from tests.support.recordings import Recording
from tests.support.recordings import load as load_recording
from vllm_sse_proxy import Plan, StreamNormalizer
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.recognition import Family, family_of_stream
from vllm_sse_proxy.families.transcriptions import conformance as transcriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm_sse_proxy.families.judging import Violation

PATHS: Final = (
    ("/v1/chat/completions", Family.CHAT),
    ("/v1/completions", Family.COMPLETIONS),
    ("/v1/messages", Family.MESSAGES),
    ("/v1/audio/", Family.TRANSCRIPTIONS),
)
JUDGES: Final[dict[Family, Callable[..., list[Violation]]]] = {
    Family.CHAT: chat.check_stream,
    Family.COMPLETIONS: completions.check_stream,
    Family.MESSAGES: messages.check_stream,
    Family.TRANSCRIPTIONS: transcriptions.check_stream,
}
MINOR: Final = {
    Family.CHAT: chat.MINOR,
    Family.COMPLETIONS: completions.MINOR,
    Family.MESSAGES: messages.MINOR,
    Family.TRANSCRIPTIONS: transcriptions.MINOR,
}
CONTENT: Final = {
    Family.CHAT: chat.CONTENT,
    Family.COMPLETIONS: completions.CONTENT,
    Family.MESSAGES: messages.CONTENT,
    Family.TRANSCRIPTIONS: transcriptions.CONTENT,
}
STOP_CUT: Final = re.compile(
    rb'"(?:stop_reason":"(?!(?:end_turn|max_tokens|tool_use|refusal)")|stop_sequence":")'
)
"""In a body that a stop string ended: chat names the string, messages as well."""


@dataclass(frozen=True)
class Judged:
    """One recorded stream and what it breaks."""

    name: str  # "0.32.0/gptoss8-c-order"
    family: Family
    body: bytes
    request: Any
    was_left: bool
    violations: tuple[Violation, ...]

    @property
    def release(self) -> str:
        return self.name.partition("/")[0]

    @property
    def rules(self) -> set[str]:
        return {violation.rule for violation in self.violations}

    @property
    def serious(self) -> set[str]:
        """Return the rules that are broken and not minor."""
        return self.rules - MINOR[self.family]


def load(path: Path, *, repaired: bool = False) -> Judged | None:
    """Load and judge one recording; None for what is not a stream of these families.

    :param repaired: judge what the proxy makes of it.
    """
    request = json.loads(path.with_suffix(".req.json").read_bytes())
    meta = json.loads(path.with_suffix(".meta.json").read_bytes())
    kind = {name.lower(): value for name, value in dict(meta.get("headers") or {}).items()}.get(
        "content-type", ""
    )
    family = family_of(request["path"], path)
    if family is None or family not in JUDGES or meta["status"] != 200 or "event-stream" not in kind:
        return None
    body, asked = path.read_bytes(), request.get("body")
    if repaired:
        body = repair(family, load_recording(path))
    return Judged(
        f"{path.parent.name}/{path.stem}",
        family,
        body,
        asked,
        meta["end"].startswith("client closed"),
        tuple(JUDGES[family](body, request=asked)),
    )


def repair(family: Family, recording: Recording) -> bytes:
    """Return what the proxy makes of a recording; the recording if it has no repairs for its family."""
    repairing = next((one for one in FAMILIES if one.name == family.value), None)
    if repairing is None:
        return recording.body
    context = repairing.context("", recording.request if isinstance(recording.request, dict) else None)
    normalizer = StreamNormalizer(Plan.of(repairing, strict=True), context)
    return normalizer.feed(recording.body) + normalizer.finish(recording.known_end)


def family_of(url: str, path: Path) -> Family | None:
    """Return the family by the path of the request; of `/invocations`, by what came."""
    if url.startswith("/invocations"):
        return family_of_stream(path.read_bytes())
    return next((family for start, family in PATHS if url.partition("?")[0].startswith(start)), None)


def load_all(folder: Path, *, repaired: bool = False) -> list[Judged]:
    """Load and judge every recording below a folder, in order of their names."""
    paths = [path for path in sorted(folder.rglob("*.sse")) if path.with_suffix(".meta.json").exists()]
    return [judged for path in paths if (judged := load(path, repaired=repaired)) is not None]


def defects_of(judged: Judged, violation: Violation) -> tuple[str, ...]:
    """Return the ids of the defects that a violation may come from, as few as can be named."""
    rule, detail = violation.rule, violation.detail
    ids = NOTES[judged.family][rule].defects
    stopped = bool(STOP_CUT.search(judged.body))
    if rule in ("arguments_cut", "input_cut"):
        return ("C37",) if stopped else tuple(id_ for id_ in ids if id_ != "C37")
    if rule == "arguments_missing" and stopped:
        return ("C37",)
    if rule == "call_markup":
        return ("C40",) if "<|" in detail and "tool" not in detail else ("C20",)
    if rule == "thought_markup":
        asked = judged.request if isinstance(judged.request, dict) else {}
        return ("C36",) if asked.get("stop") or asked.get("stop_sequences") else ("C25",)
    if rule == "call_piece":
        return ("C43",) if "'type': None" in detail else ("C18",)
    if rule == "calls_in_delta":
        return ("C44",) if detail.endswith("of 1 calls") else ("C27",)
    if rule == "stop_reason_calls":
        return ("A13",) if "no call" in detail else ("A12",)
    if rule == "finish_calls":
        return ("C16",) if "has no call" in detail else ("C35", "C42") if "named" in detail else ()
    if rule == "call_name":
        return ("C21",) if "<|" in detail else ("C22", "C49")
    return ids


def share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none"


def report(judged: list[Judged]) -> None:
    """Print the shares, then the rules."""
    groups: dict[tuple[Family, str], list[Judged]] = defaultdict(list)
    for each in judged:
        groups[each.family, each.release].append(each)
        groups[each.family, "all"].append(each)
    print(f"{'':23}{'by all rules':22}{'but for minor ones':22}but for those of content, too")
    for (family, release), members in sorted(groups.items()):
        ended = [each for each in members if not each.was_left]
        strict = sum(not each.rules for each in ended)
        lenient = sum(not each.serious for each in ended)
        left = len(members) - len(ended)
        apart = f"; {left} more left by the recorder" if left else ""
        wire = sum(not each.serious - CONTENT[family] for each in ended)
        shares = (share(part, len(ended)) for part in (strict, lenient, wire))
        print(f"{family:15}{release:8}{'{:22}{:22}{}'.format(*shares)}{apart}")
    for family in sorted({each.family for each in judged}):
        print(f"\n{family}: rules broken, in streams, with the defects that may be why")
        for rule, broken in _by_rule(
            [each for each in judged if each.family is family and not each.was_left]
        ):
            releases = Counter(each.release for each in broken)
            where = ", ".join(f"{release}: {count}" for release, count in sorted(releases.items()))
            emitted = Counter(" or ".join(ids) for each in broken if (ids := _ids(each, rule)))
            why = "; ".join(f"{ids} {count}" for ids, count in emitted.most_common())
            mark = " (minor)" if rule in MINOR[family] else " (content)" if rule in CONTENT[family] else ""
            print(f"{len(broken):5} {rule + mark:30} {where:45} {why}")


def compare(before: list[Judged], after: list[Judged]) -> None:
    """Print the shares of streams that conform before and after the proxy."""
    print(f"{'':15}{'by all rules':24}{'but for minor ones':24}but for those of content, too")
    for family in sorted({each.family for each in before}):
        counts = [
            _conforming([each for each in judged if each.family is family]) for judged in (before, after)
        ]
        whole = counts[0][3]
        shares = (f"{one} -> {other} of {whole}" for one, other in zip(*(c[:3] for c in counts), strict=True))
        print(f"{family:15}{'{:24}{:24}{}'.format(*shares)}")


def _conforming(judged: list[Judged]) -> tuple[int, int, int, int]:
    """Return how many streams conform by all rules, by those that are not minor, by those of content neither; and all."""
    ended = [each for each in judged if not each.was_left]
    return (
        sum(not each.rules for each in ended),
        sum(not each.serious for each in ended),
        sum(not each.serious - CONTENT[each.family] for each in ended),
        len(ended),
    )


def _by_rule(judged: list[Judged]) -> list[tuple[str, list[Judged]]]:
    broken: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        for rule in each.rules:
            broken[rule].append(each)
    return sorted(broken.items(), key=lambda item: (-len(item[1]), item[0]))


def _ids(judged: Judged, rule: str) -> tuple[str, ...]:
    found = [defects_of(judged, violation) for violation in judged.violations if violation.rule == rule]
    return tuple(dict.fromkeys(id_ for ids in found for id_ in ids))


def listing(judged: list[Judged], rule: str | None) -> None:
    """Print every stream that breaks a rule, or any."""
    for each in judged:
        for violation in each.violations:
            if rule in (None, violation.rule):
                known = "; ".join(f"{id_}: {DEFECTS[id_]}" for id_ in defects_of(each, violation))
                print(f"{each.name}: {violation}" + (f"  [{known}]" if known else ""))


def main(arguments: list[str]) -> int:
    """Judge and print; return 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--rule", help="list the streams that break this rule")
    parser.add_argument("--repaired", action="store_true", help="judge what the proxy makes of them")
    parser.add_argument("--compare", action="store_true", help="print the shares before and after the proxy")
    parser.add_argument("--all", action="store_true", help="list every violation")
    options = parser.parse_args(arguments)
    judged = [each for folder in options.folders for each in load_all(folder, repaired=options.repaired)]
    if options.compare:
        compare(judged, [each for folder in options.folders for each in load_all(folder, repaired=True)])
        return 0
    if options.rule or options.all:
        listing(judged, options.rule)
    else:
        report(judged)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
