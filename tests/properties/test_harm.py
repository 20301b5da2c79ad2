"""Do no harm: what a client makes of the repaired stream has every call once and every text once, and fails only where it
failed before, or where upstream's failure is reported.

The client is openai-python: its streaming helper, and the plain loop over events that most agents are. Each property looks at
one kind of harm, on recordings that were damaged, and on streams of items that no recording has.
"""

from __future__ import annotations

from hypothesis import given, note
from hypothesis import strategies as st

from tests.properties.clients import accumulated
from tests.properties.harm import calls_made_up, copies_that_differ, failures_made, half_calls, texts_twice
from tests.properties.recorded import Damaged, damaged_lives, damaged_recordings, shown
from tests.properties.said import read
from tests.support.mutations import DAMAGES, move, replay
from vllm_sse_proxy import RequestContext, StreamNormalizer, build_plan

PLAN = build_plan(strict=True)

HONEST = [damage for damage in DAMAGES if damage not in (move, replay)]
"""After the others upstream itself has said things twice, or in an order from which nobody can say what was meant."""
DAMAGED = damaged_recordings(damages=HONEST) | damaged_lives(damages=HONEST)
DAMAGED_TWICE = damaged_recordings(damages=HONEST, most=2) | damaged_lives(damages=HONEST, most=2)
"""Three kinds of damage together, as ids that are lost and swapped and texts in another place, leave one stream in thousands
in which nobody can say what is one text and what are two."""


def repaired(damaged: Damaged) -> bytes:
    """Return what the client gets; what upstream sent if the client gets an HTTP error instead, which harms nobody."""
    normalizer = StreamNormalizer(PLAN, RequestContext(seed="seed"))
    made = normalizer.feed(damaged.stream) + normalizer.finish(damaged.end)
    note(str(damaged))
    note(shown(damaged.stream, "<"))
    note(shown(made, ">"))
    return made if normalizer.committed else damaged.stream


@given(DAMAGED)
def test_every_call_once(damaged: Damaged) -> None:
    """No call is run that upstream did not make, and none more often than it made it."""
    assert calls_made_up(read(damaged.stream), read(repaired(damaged))) == []


@given(DAMAGED)
def test_no_half_call(damaged: Damaged) -> None:
    """No call is run whose arguments are half, unless upstream itself says that it is done."""
    assert half_calls(read(damaged.stream), read(repaired(damaged))) == []


@given(DAMAGED_TWICE)
def test_every_text_once(damaged: Damaged) -> None:
    """No text is said more often than upstream has it in any one place."""
    assert texts_twice(read(damaged.stream), read(repaired(damaged))) == []


@given(DAMAGED)
def test_stream_and_final_object_agree(damaged: Damaged) -> None:
    """Who reads the final object runs the calls that who reads the stream runs."""
    made = repaired(damaged)
    assert made == damaged.stream or copies_that_differ(read(made)) == []


@given(DAMAGED)
def test_fails_only_where_it_failed_before(damaged: Damaged) -> None:
    """openai-python's helper raises nothing on a repaired stream but what reports that the response failed."""
    made = repaired(damaged)
    before, after = accumulated(damaged.stream), accumulated(made)
    if made != damaged.stream:
        assert failures_made(read(damaged.stream), before, read(made), after) == []


@given(DAMAGED, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_however_it_is_cut(damaged: Damaged, places: list[int]) -> None:
    """What leaves does not depend on the chunks in which it came, on real streams too."""
    normalizer = StreamNormalizer(PLAN, RequestContext(seed="seed"))
    stream, at, made = damaged.stream, 0, []
    for place in [*sorted(place % (len(stream) + 1) for place in places), len(stream)]:
        made.append(normalizer.feed(stream[at:place]))
        at = place
    made.append(normalizer.finish(damaged.end))
    whole = StreamNormalizer(PLAN, RequestContext(seed="seed"))
    assert b"".join(made) == whole.feed(stream) + whole.finish(damaged.end)
