"""``repair``: make a recorded stream conform."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.cli.explaining import Explainer, Explanation
from vllm_sse_proxy.cli.families import add_family, end_of, read_request, recognised
from vllm_sse_proxy.cli.files import add_input, open_input, open_output
from vllm_sse_proxy.cli.reading import load
from vllm_sse_proxy.cli.settings import add_settings
from vllm_sse_proxy.cli.usage import PROGRAM
from vllm_sse_proxy.demo.report import Screen
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.families.recognition import Family
from vllm_sse_proxy.settings import CoreSettings
from vllm_sse_proxy.stream.normalizer import StreamNormalizer

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from vllm_sse_proxy.stream.ending import BodyEnd


_UNRECOGNISED: Final = (
    f"{PROGRAM}: nothing in the input says which protocol it is of; it is repaired as a stream of responses that broke off "
    "(--family names another; check says what the input is)"
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_input(parser)
    add_family(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="file to write (default: standard output)")
    parser.add_argument(
        "--summary", action="store_true", help="summarise on standard error what was repaired"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print which repair did what to which event, as a diff, instead of the stream (which -o still writes)",
    )
    add_settings(parser, CoreSettings)


def run(options: Namespace) -> int:
    """Repair the stream."""
    settings, request = load(options, CoreSettings), read_request(options.request, options.file)
    end = end_of(options.file)
    with ExitStack() as files:
        source = open_input(options.file, files)
        is_shown = not options.explain or options.output is not None
        sink = open_output(options.output, options.file, files) if is_shown else None
        name, chunks = recognised(source, options.family)
        if name is None:
            print(_UNRECOGNISED, file=sys.stderr)
        known = name or Family.RESPONSES
        family = next(family for family in FAMILIES if family.name == known.value)
        normalizer = StreamNormalizer(settings.plan(family), family.context("", request))
        made = _explained(normalizer, chunks, end) if options.explain else _made(normalizer, chunks, end)
        for piece in made:
            if sink is not None:
                sink.write(piece)
                sink.flush()
    if options.summary:
        print("\n".join(_summary(normalizer)), file=sys.stderr)
    return 0


def _made(normalizer: StreamNormalizer, chunks: Iterator[bytes], end: BodyEnd) -> Iterator[bytes]:
    """Repair a stream, and yield what is made of each chunk."""
    for chunk in chunks:
        yield normalizer.feed(chunk)
        if normalizer.ended:
            break
    yield normalizer.finish(end)


def _explained(normalizer: StreamNormalizer, chunks: Iterator[bytes], end: BodyEnd) -> Iterator[bytes]:
    """Repair a stream event by event, print what happened to each, and yield what is made of it."""
    explainer, explanation = Explainer(normalizer), Explanation(Screen.for_stream(sys.stdout))
    for chunk in chunks:
        for line in explanation.lines(explainer.feed(chunk)):
            print(line)
        if normalizer.ended:
            break
    for line in explanation.lines(explainer.finish(end)):
        print(line)
    for line in explanation.rest():
        print(line)
    sys.stdout.flush()
    yield b"".join(explainer.made)


def _summary(normalizer: StreamNormalizer) -> list[str]:
    tally = normalizer.tally
    lines = [f"{tally.events_in} events read, {tally.events_out} written", f"ending: {normalizer.ending}"]
    for text, count in (
        ("renumbered", tally.events_renumbered),
        ("inserted", tally.events_inserted),
        ("dropped", tally.events_dropped),
    ):
        lines += [f"{text}: {count}"] if count else []
    lines += [f"repair {name}: {count}" for name, count in tally.repairs.items() if count]
    lines += [f"repair {name} failed: {count}" for name, count in tally.repair_failures.items() if count]
    return lines
