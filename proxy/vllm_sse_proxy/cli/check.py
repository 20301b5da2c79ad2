"""``check``: judge a recorded stream."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from vllm_sse_proxy.cli.files import add_input, open_input
from vllm_sse_proxy.cli.settings import add_settings, load
from vllm_sse_proxy.config import CoreSettings
from vllm_sse_proxy.families.judges import judge

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_input(parser)
    add_settings(parser, CoreSettings)


def run(options: Namespace) -> int:
    """Print the violations; return 1 if there are any."""
    settings = load(options, CoreSettings)
    with ExitStack() as files:
        stream = open_input(options.file, files).read()
    _, violations = judge(stream, dialect=settings.dialect)
    for violation in violations:
        print(violation)
    sys.stdout.flush()
    print(f"{len(violations)} violations" if violations else "conforming", file=sys.stderr)
    return 1 if violations else 0
