"""``check``: judge a recorded stream."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.cli.families import (
    HTTP_HEAD,
    add_family,
    expects_done,
    kind_of,
    read_request,
    recognised,
)
from vllm_sse_proxy.cli.files import add_input, open_input
from vllm_sse_proxy.cli.reading import load
from vllm_sse_proxy.cli.settings import add_settings
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.recognition import Family, StreamRecogniser
from vllm_sse_proxy.families.responses import conformance as responses
from vllm_sse_proxy.families.transcriptions import conformance as transcriptions
from vllm_sse_proxy.settings import CoreSettings
from vllm_sse_proxy.sse import FrameDecoder

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
    """Print the violations, or that the input is something else than such a stream; return 1 if there are any."""
    settings, request = load(options, CoreSettings), read_request(options.request, options.file)
    with ExitStack() as files:
        family, chunks = recognised(open_input(options.file, files), options.family)
        stream = b"".join(chunks)
    other = _other(stream, family, options.family)
    if other is not None or family is None:
        print(other)
        return 1
    if family is Family.RESPONSES:
        found = [
            str(violation)
            for violation in responses.check_stream(
                stream, dialect=settings.dialect, require_done=expects_done(options.file)
            )
        ]
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
    count = f"{len(found)} violation{'' if len(found) == 1 else 's'}"
    print(count if found else "conforming", file=sys.stderr)
    return 1 if found else 0


def _other(stream: bytes, family: Family | None, named: str | None) -> str | None:
    """Return what the input is instead of a stream that can be judged; None if it is one.

    :param family: as it was recognised, or named on the command line.
    """
    if stream.lstrip().startswith(HTTP_HEAD):
        return f"this is not a stream, but {kind_of(stream)}"
    if named is None:
        if family is not None:
            return None
        known = ", ".join(one.value for one in Family)
        return f"this is not a stream of any known family ({known}), but {kind_of(stream)}"
    recogniser = StreamRecogniser(len(stream) + 1)
    found = recogniser.feed(stream)
    if found is not None and found is not family:
        return f"this is not a {named} stream, but a {found.value} stream"
    if (
        found is None
        and stream.strip()
        and not any(frame.data for frame in FrameDecoder().feed(stream + b"\n\n"))
    ):
        return f"this is not a {named} stream, but {kind_of(stream)}"
    return None


_JUDGES: Final[dict[Family, Callable[..., list[Violation]]]] = {
    Family.CHAT: chat.check_stream,
    Family.COMPLETIONS: completions.check_stream,
    Family.MESSAGES: messages.check_stream,
}
