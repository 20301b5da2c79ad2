"""The meter counts what grows, wherever it is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from tests.properties.recorded import recordings
from tests.properties.steps import HOOKS, METER, metered, rewritten
from tests.support.compiled import python_core
from tests.support.mutations import stream_of
from vllm_sse_proxy import BodyEnd, RequestContext, StreamNormalizer, build_plan

LINEAR = {
    "loop": "total = 0\n    for x in range(n):\n        total += x",
    "append": "out = []\n    for x in range(n):\n        out.append(x)\n    out[:]",
    "join": "''.join(str(x)[0] for x in range(n))",
    "find from a place": "text, at = 'ab' * n, 0\n    while (at := text.find('a', at) + 1):\n        pass",
    "regex": "re.compile('a*b').sub('c', 'ab' * n)",
    "regex of a group": "re.compile('(?:a|bc)*').fullmatch('abc' * n)",
    "lookup": "d = {}\n    for x in range(n):\n        d[x] = x in d",
    "length": "out = []\n    for x in range(n):\n        out.append(len(out))",
    "string io": "io = StringIO()\n    for x in range(n):\n        io.write('x')\n    io.getvalue()",
}
QUADRATIC = {
    "two loops": "for x in range(n):\n        for y in range(n):\n            pass",
    "comprehension": "for x in range(n):\n        [y for y in range(n)]",
    "string +=": "text = ''\n    for x in range(n):\n        text += 'x'",
    "string +": "text = ''\n    for x in range(n):\n        text = text + 'x'",
    "in a list": "seen = []\n    for x in range(n):\n        if x not in seen:\n            seen.append(x)",
    "in a string": "text = 'x' * n\n    for x in range(n):\n        'y' in text",
    "slice": "text = 'x' * n\n    for x in range(n):\n        text[x:]",
    "pop of the first": "left = list(range(n))\n    while left:\n        left.pop(0)",
    "equal": "one, other = 'x' * n, 'x' * (n - 1) + 'y'\n    for x in range(n):\n        one == other",
    "equal lists": "one, other = [0] * n, [0] * n\n    for x in range(n):\n        one == other",
    "copy": "d = {}\n    for x in range(n):\n        d = {**d, x: x}",
    "join": "parts = []\n    for x in range(n):\n        parts.append('x')\n        ''.join(parts)",
    "strip": "text = 'x' * n\n    for x in range(n):\n        text.strip()",
    "getvalue": "io = StringIO()\n    for x in range(n):\n        io.write('x')\n        io.getvalue()",
    "any": "seen = []\n    for x in range(n):\n        any(map(bool, seen))\n        seen.append(0)",
    "dumps": "seen = []\n    for x in range(n):\n        seen.append(0)\n        orjson.dumps(seen)",
    "regex of white space": r"re.compile(r'\s*a\s*').sub('', ' ' * n)",
    "regex that begins often": "re.compile('ab.*c').search('ab' * n)",
    "regex with few": "re.compile('a.*?b').search('a' * n)",
}


def steps(body: str, number: int) -> int:
    source = f"import re, orjson\nfrom io import StringIO\ndef made(n):\n    {body}\n"
    names: dict[str, Any] = dict(HOOKS)
    exec(rewritten(source), names)  # noqa: S102 - the sources above
    before = METER.steps
    names["made"](number)
    return METER.steps - before


def growth(body: str) -> float:
    first, second, third = (steps(body, number) for number in (40, 60, 80))
    return (third - second) / (second - first) - 1


@pytest.mark.parametrize("what", LINEAR)
def test_what_is_linear_grows_linearly(what: str) -> None:
    assert abs(growth(LINEAR[what])) < 0.02


@pytest.mark.parametrize("what", QUADRATIC)
def test_what_is_not_does_not(what: str) -> None:
    assert growth(QUADRATIC[what]) > 0.2


@pytest.mark.long
@python_core
def test_the_metered_core_does_what_the_core_does() -> None:
    core = metered()
    for name, frames in recordings().items():
        stream = stream_of(frames)
        normalizer = StreamNormalizer(build_plan(strict=True), RequestContext(seed="seed"))
        expected = normalizer.feed(stream) + normalizer.finish(BodyEnd.EOF)
        counted = core.StreamNormalizer(core.build_plan(strict=True), core.RequestContext(seed="seed"))
        assert counted.feed(stream) + counted.finish(core.BodyEnd.EOF) == expected, name
    assert core.StreamNormalizer is not StreamNormalizer
