"""Streams of transcriptions in vLLM's own form, as they are and as OpenAI's events (T01 to T05).

No recording exists; the streams are built from the source of vLLM 0.10 to 0.33.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.streams import cut
from vllm_sse_proxy import BodyEnd, Ending, Plan, StreamNormalizer
from vllm_sse_proxy.families import TRANSCRIPTIONS
from vllm_sse_proxy.families.transcriptions.conformance import check_stream
from vllm_sse_proxy.families.transcriptions.settings import Transcripts
from vllm_sse_proxy.stream.plan import names_of

if TYPE_CHECKING:
    from collections.abc import Collection

DONE = b"data: [DONE]\n\n"
OBJECTS = ["transcription.chunk", "translation.chunk"]
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
ERROR = {"error": {"message": "boom", "type": "InternalServerError", "param": None, "code": 500}}


def frame(body: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def chunk(*choices: Any, object_: str = "transcription.chunk", **more: Any) -> bytes:
    head = {"id": "trsc-1", "object": object_, "created": 5, "model": "whisper", "choices": list(choices)}
    return frame({**head, **more})


def words(text: str, **more: Any) -> bytes:
    return chunk({"delta": {"content": text}}, **more)


def finish(reason: str | None = "stop", text: str = "", **more: Any) -> bytes:
    return chunk({"delta": {"content": text}, "finish_reason": reason, "stop_reason": None}, **more)


def delta(text: str) -> bytes:
    return frame({"type": "transcript.text.delta", "delta": text})


def done(text: str, **more: Any) -> bytes:
    return frame({"type": "transcript.text.done", "text": text, **more})


def repaired(
    stream: bytes,
    form: Transcripts = Transcripts.UPSTREAM,
    end: BodyEnd = BodyEnd.EOF,
    disabled: Collection[str] = (),
) -> tuple[bytes, StreamNormalizer]:
    plan = Plan.of(TRANSCRIPTIONS, disabled, strict=True, transcripts=form)
    normalizer = StreamNormalizer(plan, TRANSCRIPTIONS.context("", None))
    made = normalizer.feed(stream) + normalizer.finish(end)
    if not disabled:
        assert check_stream(made, dialect=form) == []
        assert repair_again(made, plan, end) == made
    return made, normalizer


def repair_again(made: bytes, plan: Plan, end: BodyEnd) -> bytes:
    again = StreamNormalizer(plan, TRANSCRIPTIONS.context("", None))
    return again.feed(made) + again.finish(end)


# vLLM's own form


@pytest.mark.parametrize("object_", OBJECTS)
def test_a_whole_stream_leaves_as_it_came(object_: str) -> None:
    stream = (
        words("Hel", object_=object_)
        + words("lo", object_=object_)
        + finish(object_=object_)
        + words(" there", object_=object_)
        + finish("length", ".", object_=object_)
        + chunk(object_=object_, usage=USAGE)
        + DONE
    )
    made, normalizer = repaired(stream)
    assert made == stream
    assert normalizer.tally.repairs == {}
    assert normalizer.ending is Ending.INCOMPLETE
    assert repaired(words("Hi") + finish() + DONE)[1].ending is Ending.COMPLETED


@pytest.mark.parametrize("form", Transcripts)
@pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT, BodyEnd.RESET, BodyEnd.IDLE_TIMEOUT])
@pytest.mark.parametrize(
    "stream",
    [
        words("Hel"),
        words("Hel") + DONE,
        words("Hello") + finish(),
        words("Hello") + finish() + words("th") + DONE,
    ],
    ids=["a word", "[DONE] behind a word", "a piece", "[DONE] in the second piece"],
)
def test_what_has_no_end_ends_as_an_error(stream: bytes, end: BodyEnd, form: Transcripts) -> None:
    """How many pieces there are, nothing says but `[DONE]` (T03, T05)."""
    made, normalizer = repaired(stream, form, end)
    *_, error, last = made.split(b"\n\n")[:-1]
    assert json.loads(error[6:])["error"]["code"] == (504 if end is BodyEnd.IDLE_TIMEOUT else 502)
    assert last == b"data: [DONE]"
    assert normalizer.tally.repairs == {"unfinished_streams": 1}
    assert normalizer.ending is not Ending.COMPLETED
    made, _ = repaired(stream, form, end, ["unfinished_streams"])
    assert b"error" not in made


@pytest.mark.parametrize("form", Transcripts)
@pytest.mark.parametrize(
    ("report", "code"),
    [
        (ERROR, 500),
        ({**ERROR, "choices": [{"delta": {"content": "x"}}]}, 500),
        ({"error": "boom"}, 502),
        ({"object": "error", "message": "boom", "type": "BadRequestError", "code": 400}, 500),
    ],
)
def test_errors_are_the_last(report: Any, code: int, form: Transcripts) -> None:
    made, normalizer = repaired(words("Hi") + frame(report) + finish() + DONE, form)
    *_, error, last = made.split(b"\n\n")[:-1]
    assert json.loads(error[6:])["error"]["code"] == code
    assert last == b"data: [DONE]"
    assert normalizer.ending is Ending.UPSTREAM_ERROR


@pytest.mark.parametrize("form", Transcripts)
@pytest.mark.parametrize(("reason", "code"), [("abort", 503), ("error", 500), ("strange", 502)])
def test_an_aborted_piece_is_an_error(reason: str, code: int, form: Transcripts) -> None:
    made, normalizer = repaired(words("Hel") + finish(reason, "lo") + DONE, form)
    assert b"lo" in made
    assert json.loads(made.split(b"\n\n")[-3][6:])["error"]["code"] == code
    assert normalizer.tally.repairs["finish_reasons"] == 1


def test_reasons_of_others_become_openais() -> None:
    made, normalizer = repaired(words("Hi") + finish("repetition") + DONE)
    assert made == words("Hi") + finish("stop") + DONE
    assert normalizer.tally.repairs == {"finish_reasons": 1}


@pytest.mark.parametrize("object_", OBJECTS)
def test_chunks_get_what_they_lack(object_: str) -> None:
    broken = frame({"object": object_, "choices": [{"delta": {"content": "lo"}}]})
    made, normalizer = repaired(words("Hel", object_=object_) + broken + finish(object_=object_) + DONE)
    assert made.count(b'"id":"trsc-1"') == 3
    assert made.count(object_.encode()) == 3
    assert normalizer.tally.repairs == {"chunk_fields": 1}


def test_what_only_lenient_readers_take_is_written_anew() -> None:
    odd = words("lo").replace(b'"created":5', b'"created":5,"x":NaN')
    made, normalizer = repaired(words("Hel") + odd + b"data: {\n\n" + finish() + DONE)
    assert b'"x":null' in made
    assert normalizer.tally.repairs == {"readable_chunks": 2}


# OpenAI's form


def test_chunks_become_events() -> None:
    stream = (
        words("Hel") + words("lo") + words("") + finish() + chunk({}) + words(" there") + finish("length", ".")
        + chunk(usage=USAGE) + DONE
    )  # fmt: skip
    made, normalizer = repaired(stream, Transcripts.OPENAI)
    usage = {"type": "tokens", "input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert (
        made
        == delta("Hel")
        + delta("lo")
        + delta("")
        + delta(" there")
        + delta(".")
        + done("Hello there.", usage=usage)
        + DONE
    )
    assert normalizer.tally.repairs == {}
    assert normalizer.tally.events_dropped == 3
    assert normalizer.ending is Ending.COMPLETED


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -1}])
def test_without_counts_there_is_no_usage(usage: Any) -> None:
    made, _ = repaired(words("Hi") + finish() + chunk(usage=usage) + DONE, Transcripts.OPENAI)
    assert made == delta("Hi") + done("Hi") + DONE


def test_a_count_that_is_missing_is_nothing() -> None:
    made, _ = repaired(words("Hi") + finish() + chunk(usage={"prompt_tokens": 7}) + DONE, Transcripts.OPENAI)
    assert b'"output_tokens":0,"total_tokens":7' in made


def test_silence_is_an_empty_text() -> None:
    made, _ = repaired(finish() + DONE, Transcripts.OPENAI)
    assert made == done("") + DONE


@pytest.mark.parametrize("form", Transcripts)
def test_events_of_openais_pass(form: Transcripts) -> None:
    segment = {
        "type": "transcript.text.segment",
        "id": "s",
        "speaker": "A",
        "text": "Hi",
        "start": 0,
        "end": 1,
    }
    stream = delta("Hel") + frame(segment) + delta("lo") + done("Hello") + DONE
    plan = Plan.of(TRANSCRIPTIONS, strict=True, transcripts=form)
    normalizer = StreamNormalizer(plan, TRANSCRIPTIONS.context("", None))
    assert normalizer.feed(stream) == stream
    assert normalizer.ending is Ending.COMPLETED
    assert normalizer.tally.repairs == {}


# properties

PIECES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(words),
        st.sampled_from(
            [finish(), finish("length", "x"), finish("abort"), chunk(), chunk(usage=USAGE), DONE, frame(ERROR),
             chunk({"delta": None}), chunk({}, {}), b": ping\n\n", b"data: {\n\n", delta("a"), frame([]),
             frame({"type": "transcript.x"}), b'data: {"choices": 3}\n\n', chunk({"delta": {}, "finish_reason": 7}),
             words("b", object_="other")]
        ),
    ),
    max_size=12,
)  # fmt: skip
ENDS = st.sampled_from([end for end in BodyEnd if end is not BodyEnd.CLIENT_GONE])


@given(PIECES, ENDS, st.sampled_from(Transcripts), st.lists(st.integers(0, 9999), max_size=6),
       st.sets(st.sampled_from(names_of(TRANSCRIPTIONS))))  # fmt: skip
def test_nothing_raises_and_chunks_make_no_difference(
    pieces: list[bytes], end: BodyEnd, form: Transcripts, places: list[int], disabled: set[str]
) -> None:
    stream = b"".join(pieces)
    plan = Plan.of(TRANSCRIPTIONS, disabled, strict=True, transcripts=form)
    outcomes = []
    for chunks in ([stream], cut(stream, places), cut(stream.replace(b"data: {", b"id: 1\ndata: {"), [])):
        normalizer = StreamNormalizer(plan)
        made = b"".join(map(normalizer.feed, chunks)) + normalizer.finish(end)
        outcomes.append((made, {**asdict(normalizer.tally), "bytes_in": 0}, normalizer.ending))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(PIECES, ENDS)
def test_a_success_was_said_by_upstream(pieces: list[bytes], end: BodyEnd) -> None:
    for form in Transcripts:
        normalizer = StreamNormalizer(Plan.of(TRANSCRIPTIONS, strict=True, transcripts=form))
        made = normalizer.feed(b"".join(pieces)) + normalizer.finish(end)
        if normalizer.ending in (Ending.COMPLETED, Ending.INCOMPLETE):
            assert DONE in pieces
            assert b'"error"' not in made
        else:
            assert b'"error"' in made
