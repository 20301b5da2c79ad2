"""What a family must be: a second one, which knows neither items nor numbers, goes through the same engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.stream.toy import TOY, ToyView
from tests.support.compiled import python_core
from tests.support.replay import count_rewrites
from vllm_sse_proxy import BodyEnd, Ending, Plan, StreamNormalizer

if TYPE_CHECKING:
    import pytest


def frame(data: str) -> bytes:
    return b"data: %b\n\n" % data.encode()


def repaired(
    *data: str, plan: Plan | None = None, end: BodyEnd = BodyEnd.EOF
) -> tuple[list[str], StreamNormalizer]:
    normalizer = StreamNormalizer(plan or Plan.of(TOY, strict=True))
    made = b"".join(normalizer.feed(frame(one)) for one in data) + normalizer.finish(end)
    return [one.removeprefix("data: ") for one in made.decode().split("\n\n")[:-1]], normalizer


@python_core
class TestToy:
    WHOLE = (
        '{"kind":"hello"}',
        *(f'{{"word":"{word}"}}' for word in ("it", " just", " works")),
        '{"kind":"bye"}',
    )

    def test_a_whole_stream_leaves_as_it_came(self) -> None:
        made, normalizer = repaired(*self.WHOLE)
        assert made == [*self.WHOLE, "over"]
        assert normalizer.ending is Ending.COMPLETED
        assert normalizer.tally.repairs == {}

    def test_what_is_missing_is_inserted_and_counted(self) -> None:
        made, normalizer = repaired(*self.WHOLE[1:-1])
        assert made == [*self.WHOLE, "over"]
        assert normalizer.ending is Ending.TRUNCATED
        assert normalizer.tally.repairs == {"hellos": 1, "byes": 1}
        assert (normalizer.tally.events_in, normalizer.tally.events_out) == (3, 5)

    def test_corrections_are_switched_off_by_name(self) -> None:
        made, _ = repaired(*self.WHOLE[1:-1], plan=Plan.of(TOY, ["hellos", "byes"]))
        assert made == [*self.WHOLE[1:-1]]

    def test_deltas_are_rewritten(self) -> None:
        normalizer = StreamNormalizer(Plan.of(TOY, strict=True))
        engine = normalizer._engine
        normalizer.feed(frame('{"word":"a"}') + frame('{"word":"b"}'))
        assert engine.rewritten(frame('{"word":"c\\u00e9"}')) == b'data: {"word":"c\\u00e9"}\n\n'
        assert engine.rewritten(frame('{"word": "d"}')) is None
        assert engine.rewritten(frame('{"word":"d"}') * 2) is None
        assert normalizer.feed(frame('{"kind":"bye"}')).startswith(b'data: {"kind":"bye"}')

    def test_deltas_of_which_a_member_varies_are_walked_if_nobody_knows_what_is_left_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ToyView, "varying_members", lambda *_: (b"odds",))
        words = [f'{{"word":"{word}","odds":[{odds}]}}' for odds, word in enumerate("abc")]
        stream = (self.WHOLE[0], *words, self.WHOLE[-1])
        assert count_rewrites(lambda: repaired(*stream)) == 0
        assert repaired(*stream)[0] == [*stream, "over"]

    def test_a_number_that_the_family_does_not_know_stays_what_it_is(self) -> None:
        words = [f'{{"word":"{word}","sequence_number":7}}' for word in "abc"]
        made, _ = repaired(self.WHOLE[0], *words, self.WHOLE[-1])
        assert made == [self.WHOLE[0], *words, self.WHOLE[-1], "over"]

    def test_a_failure_before_any_event_becomes_an_http_error(self) -> None:
        _, normalizer = repaired(end=BodyEnd.IDLE_TIMEOUT)
        assert not normalizer.committed
        failure = normalizer.failure
        assert failure is not None
        assert failure.status == 504
