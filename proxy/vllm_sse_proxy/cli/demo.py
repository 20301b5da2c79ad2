"""``demo``: show broken streams before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy import demo

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    demo.add_arguments(parser)


def run(options: Namespace) -> int:
    """Run the demo."""
    return demo.run(options)
