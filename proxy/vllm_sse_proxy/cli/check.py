"""``check``: judge a recorded stream."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.cli.families import add_family, read_request, recognised
from vllm_sse_proxy.cli.files import add_input, open_input
from vllm_sse_proxy.cli.settings import add_settings, load
from vllm_sse_proxy.config import CoreSettings
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.recognition import Family
from vllm_sse_proxy.families.responses import conformance as responses
from vllm_sse_proxy.families.transcriptions import conformance as transcriptions

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from vllm_sse_proxy.families.judging import Violation


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_input(parser)
    add_family(parser)
    add_settings(parser, CoreSettings)


def run(options: Namespace) -> int:
    """Print the violations; return 1 if there are any."""
    settings, request = load(options, CoreSettings), read_request(options.request)
    with ExitStack() as files:
        family, chunks = recognised(open_input(options.file, files), options.family)
        stream = b"".join(chunks)
    if family is Family.RESPONSES:
        found = [str(violation) for violation in responses.check_stream(stream, dialect=settings.dialect)]
    elif family is Family.TRANSCRIPTIONS:
        form = settings.transcripts
        found = [
            str(violation) for violation in transcriptions.check_stream(stream, request=request, dialect=form)
        ]
    else:
        found = [str(violation) for violation in _JUDGES[family](stream, request=request)]
    for violation in found:
        print(violation)
    sys.stdout.flush()
    print(f"{len(found)} violations" if found else "conforming", file=sys.stderr)
    return 1 if found else 0


_JUDGES: Final[dict[Family, Callable[..., list[Violation]]]] = {
    Family.CHAT: chat.check_stream,
    Family.COMPLETIONS: completions.check_stream,
    Family.MESSAGES: messages.check_stream,
}
