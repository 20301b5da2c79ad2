"""The closed lists of endings."""

from __future__ import annotations

import pytest

from vllm_sse_proxy import BodyEnd, Ending, Failure
from vllm_sse_proxy.stream.ending import REPORTS


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_its_value_and_one_sentence(ending: Ending) -> None:
    assert Ending(ending.value) is ending
    assert str(ending) == ending.value
    assert ending.meaning.endswith(".")
    assert "\n" not in ending.meaning


def test_every_ending_of_a_body_that_says_nothing_better_is_an_ending() -> None:
    said_otherwise = {BodyEnd.EOF}
    assert {end.value for end in BodyEnd} - {end.value for end in said_otherwise} <= {e.value for e in Ending}


@pytest.mark.parametrize("end", list(BodyEnd))
def test_every_body_end_has_its_report(end: BodyEnd) -> None:
    code, message = REPORTS[end]
    assert code.replace("_", "").isalpha()
    assert message.endswith(".")


def test_a_failure_is_the_servers_unless_it_says_otherwise() -> None:
    assert Failure(502, "c", "m").type == "server_error"
