"""The example at the head of the family is a conforming stream that passes unchanged."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent

from vllm_sse_proxy import BodyEnd, StreamNormalizer, build_plan, check_stream

PACKAGE = Path(__file__).parents[3] / "proxy" / "vllm_sse_proxy" / "families" / "responses" / "__init__.py"


def example() -> bytes:
    """Return the stream in the package's docstring, its folded lines joined."""
    head = ast.get_docstring(ast.parse(PACKAGE.read_text("utf-8"))) or ""
    text = dedent(head.partition("::\n\n")[2]).strip()
    return (re.sub(r"\n {2,}", "", text) + "\n\n").encode()


def test_it_conforms() -> None:
    assert example().count(b"\n\n") == 11
    assert check_stream(example()) == []


def test_it_passes_unchanged() -> None:
    normalizer = StreamNormalizer(build_plan(strict=True))
    assert normalizer.feed(example()) + normalizer.finish(BodyEnd.EOF) == example()
    assert not normalizer.tally.repairs
