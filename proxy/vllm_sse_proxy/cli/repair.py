"""``repair``: make a recorded stream conform."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from vllm_sse_proxy.cli.families import add_family, read_request, recognised
from vllm_sse_proxy.cli.files import add_input, open_input, open_output
from vllm_sse_proxy.cli.settings import add_settings, load
from vllm_sse_proxy.config import CoreSettings
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.stream.ending import BodyEnd
from vllm_sse_proxy.stream.normalizer import StreamNormalizer

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_input(parser)
    add_family(parser)
    add_settings(parser, CoreSettings)
    parser.add_argument("-o", "--output", metavar="FILE", help="file to write (default: standard output)")
    parser.add_argument(
        "--summary", action="store_true", help="summarise on standard error what was repaired"
    )


def run(options: Namespace) -> int:
    """Repair the stream."""
    settings, request = load(options, CoreSettings), read_request(options.request)
    with ExitStack() as files:
        source = open_input(options.file, files)
        sink = open_output(options.output, options.file, files)
        name, chunks = recognised(source, options.family)
        family = next(family for family in FAMILIES if family.name == name.value)
        normalizer = StreamNormalizer(settings.plan(family), family.context("", request))
        for chunk in chunks:
            sink.write(normalizer.feed(chunk))
            sink.flush()
            if normalizer.ended:
                break
        sink.write(normalizer.finish(BodyEnd.EOF))
        sink.flush()
    if options.summary:
        print("\n".join(_summary(normalizer)), file=sys.stderr)
    return 0


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
