"""A small part of the fault suite, so that the suite itself stays in order; `make faults` runs all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.labs.faults import client_faults, family_faults, hostile, smuggling, upstream_faults
from tests.labs.faults.answers import PHASES, PLAIN
from tests.labs.faults.corpus import ATTACKS
from tests.labs.faults.judge import judge, judge_error
from tests.labs.faults.relay import Kind
from tests.support.http import Answer
from tests.support.whole_stream import DELTA, WHOLE

if TYPE_CHECKING:
    from tests.labs.faults.report import Row

SMALL = ("a second stream behind [DONE]", "invalid UTF-8 in a delta", "JSON 100,000 levels deep")


def assert_good(rows: list[Row]) -> None:
    assert rows
    assert not [str(row) for row in rows if row.wrong]


@pytest.mark.long
async def test_upstream_faults() -> None:
    assert_good(await upstream_faults.matrix(["FIN", "RST"], ["before head", "in event", "before [DONE]"]))


@pytest.mark.long
async def test_upstream_faults_in_other_families() -> None:
    assert_good(await family_faults.families())


@pytest.mark.parametrize("family", family_faults.CASES)
def test_an_end_that_is_not_honest_is_found(family: str) -> None:
    case = family_faults.CASES[family]
    whole = Answer(b"HTTP/1.1 200 OK", [], case.stream, complete=True)
    assert family_faults.wrong_with(case, Kind.LATENCY, whole) == []
    assert family_faults.wrong_with(case, Kind.CLOSE, whole)
    half = Answer(
        b"HTTP/1.1 200 OK", [], b"\n\n".join(case.stream.split(b"\n\n")[:3]) + b"\n\n", complete=True
    )
    assert family_faults.wrong_with(case, Kind.CLOSE, half)


@pytest.mark.long
async def test_cuts_at_some_bytes() -> None:
    assert_good(await upstream_faults.every_byte(step=251))


@pytest.mark.long
async def test_clients_that_leave() -> None:
    assert_good(await client_faults.leaving(["before head", "in event"], times=1))


@pytest.mark.long
async def test_hostile_bytes() -> None:
    assert_good(await hostile.attacks([case for case in hostile.CASES if case.what in SMALL]))


@pytest.mark.long
async def test_smuggling_past_the_proxy_alone() -> None:
    assert_good(await smuggling.compare(servers=(), quiet_seconds=0.1))


def test_the_corpus_has_one_name_each() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names))
    assert all(0 <= at <= len(PLAIN.wire) for at in PHASES.values())


@pytest.mark.parametrize(
    ("body", "line", "found"),
    [
        (b"".join(WHOLE), "completed", []),
        (b"".join(WHOLE[:-1]), "completed", ["[DONE]"]),
        (b"".join(WHOLE), "cut", ["counted as cut"]),
        (b"".join(WHOLE).replace(DELTA, b""), "completed", ["words"]),
    ],
)
def test_the_judge_finds_what_is_wrong(body: bytes, line: str, found: list[str]) -> None:
    answer = Answer(b"HTTP/1.1 200 OK", [], body, complete=True)
    wrong = judge(answer, {"ending": line}, WHOLE).wrong
    assert bool(wrong) == bool(found)
    for word in found:
        assert any(word in text for text in wrong), wrong


def test_the_judge_wants_an_error_object() -> None:
    assert judge_error(Answer(b"HTTP/1.1 502 Bad", [], b"<html>", complete=True))
