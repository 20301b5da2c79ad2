"""Streams of real vLLM releases: each leaves the normalizer conforming, whole or in pieces, with every word that it had."""

import random
from pathlib import Path

import pytest

from tests.support.recordings import Recording, load_all
from tests.support.replay import doubled_words, faults, lost_words, normalize
from vllm_sse_proxy import BodyEnd, Ending, StreamNormalizer, build_plan
from vllm_sse_proxy.families.responses.conformance import check_stream
from vllm_sse_proxy.sse import FrameDecoder

FOLDER = Path(__file__).parent / "recordings"
RECORDINGS = {
    recording.name: recording
    for folder in sorted(FOLDER.glob("vllm-*"))
    for recording in load_all(folder)
    if recording.is_response_stream
}
each_recording = pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)


def whole(recording: Recording) -> tuple[bytes, StreamNormalizer]:
    return normalize([recording.body], recording.known_end, context=recording.context())


def random_cuts(recording: Recording) -> list[bytes]:
    """Cut the body at places that are random but the same in every run."""
    body = recording.body
    dice = random.Random(recording.name)  # noqa: S311 - a test's, not a secret's
    places = sorted(dice.randrange(len(body) + 1) for _ in range(len(body) // 50))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def test_recordings_are_there() -> None:
    """Nothing below would fail if the folder were empty."""
    assert {recording.release for recording in RECORDINGS.values()} == {
        "0.12.0",
        "0.14.1",
        "0.17.0",
        "0.18.1",
        "0.20.2",
        "0.22.1",
        "0.24.0",
        "0.28.0",
        "0.30.0",
        "0.32.0",
    }
    assert len(RECORDINGS) >= 128
    assert {recording.end for recording in RECORDINGS.values()} >= {
        BodyEnd.EOF,
        BodyEnd.CUT,
        BodyEnd.IDLE_TIMEOUT,
        BodyEnd.CLIENT_GONE,
    }


@each_recording
def test_conforms(recording: Recording) -> None:
    made, normalizer = whole(recording)
    assert normalizer.ended
    if normalizer.committed:
        assert faults(made) == []
        assert lost_words(recording.body, made) == []
    else:
        assert normalizer.failure is not None
        assert normalizer.failure.status >= 500


#: A step with several tokens lost the beginning of a text (R10, R17), which is emitted whole after what came of it; or a call
#: was streamed and the final object has the reasoning before it instead.
EMITTED_AGAIN = {
    "vllm-0.14.1/ds-r-emoji-think",
    "vllm-0.18.1/ds-r-math",
    "vllm-0.18.1/ds-r-weather2",
    "vllm-0.17.0/si8ds-r-emoji-think",
    "vllm-0.17.0/si8ds-r-sample2",
    "vllm-0.17.0/si8ds-r-strict-tool",
    "vllm-0.17.0/si8ds-r-weather-logprobs",
    "vllm-0.17.0/si8gptoss-r-nothink-kw",
    "vllm-0.24.0/si8gptoss-r-web-cut-22",
}


@each_recording
def test_says_nothing_twice(recording: Recording) -> None:
    made, normalizer = whole(recording)
    if normalizer.committed:
        assert bool(doubled_words(recording.body, made)) == (recording.name in EMITTED_AGAIN)


@each_recording
def test_does_not_depend_on_the_chunking(recording: Recording) -> None:
    made, _ = whole(recording)
    body = recording.body
    for chunks in (random_cuts(recording), [body[i : i + 1] for i in range(len(body))]):
        assert normalize(chunks, recording.known_end, context=recording.context())[0] == made


@each_recording
def test_repairing_the_repaired_changes_no_byte(recording: Recording) -> None:
    made, _ = whole(recording)
    again, normalizer = normalize([made], BodyEnd.EOF, context=recording.context())
    assert again == made
    assert not any(normalizer.tally.repairs.values())


@each_recording
def test_resuming_says_the_rest_of_the_same_stream(recording: Recording) -> None:
    """`starting_after=N` leaves out the events up to N and changes nothing of the others."""
    made, normalizer = whole(recording)
    frames = made.split(b"\n\n")
    plan = build_plan(strict=True)
    for number in {0, 1, normalizer.next_number // 2, normalizer.next_number - 2} & {
        *range(normalizer.next_number)
    }:
        resumed = StreamNormalizer(plan, recording.context(), starting_after=number)
        rest = resumed.feed(recording.body)
        rest += resumed.finish(recording.known_end)
        assert rest == b"\n\n".join(frames[number + 1 :])


@each_recording
def test_a_client_that_left_is_sent_nothing_more(recording: Recording) -> None:
    normalizer = StreamNormalizer(build_plan(strict=True), recording.context())
    normalizer.feed(recording.body[: len(recording.body) // 2])
    if not normalizer.ended:
        assert normalizer.finish(BodyEnd.CLIENT_GONE) == b""
        assert normalizer.ending is Ending.CLIENT_GONE


#: What the catalogue of defects says of these streams, and the rule of the judge that each defect must break.
KNOWN_DEFECTS = {
    "vllm-0.12.0/ds-r-emoji": {
        "R05": "part_open",
        "R08": "output_index",
        "R11": "terminal_output",
        "R25": "part_type",
    },
    "vllm-0.12.0/ds-r-instructions": {
        "R04": "terminal_output",
        "R09c": "items_closed",
        "R30": "done_sentinel",
    },
    "vllm-0.12.0/ds-r-weather2": {"R04": "terminal_output", "R09f": "parts_closed", "R27": "item_fields"},
    "vllm-0.12.0/gptoss-r-weather2": {"R06": "content_index", "R07": "item_open", "R24": "standard_name"},
    "vllm-0.12.0/gptoss-r-thinkonly": {"R01": "terminal"},
    "vllm-0.17.0/ds-r-emoji": {"R11": "terminal_output", "R24": "standard_name"},
    "vllm-0.17.0/ds-r-texttool": {"R03": "terminal_output"},
    "vllm-0.17.0/ds-r-stop-think": {"R18": "item_identity", "R17": "item_type"},
    "vllm-0.17.0/gptoss-r-cut-thinkend": {"R09a": "items_closed"},
    "vllm-0.17.0/gptoss-r-notool": {"R12": "item_identity", "R14": "nested_number", "R11": "terminal_output"},
    "vllm-0.17.0/si8ds-r-weather2": {"R17": "item_type"},
    "vllm-0.18.1/ds-r-bg-cut-30-weather2": {"R49": "item_type", "R15": "response_status"},
    "vllm-0.22.1/ds-r-texttool": {"R24": "standard_name"},
    "vllm-0.20.2/ds-r-req": {"R03": "terminal_output", "R24": "standard_name"},
    "vllm-0.20.2/ds-r-cut-30-weather2": {
        "R15": "response_status",
        "R36": "item_content",
        "R24": "standard_name",
    },
    "vllm-0.20.2/ds-r-nothing": {"R08": "item_identity"},
    "vllm-0.20.2/ds-r-named-note": {"R01": "terminal"},
    "vllm-0.20.2/si8ds-r-bg-cancel": {"R02": "terminal"},
    "vllm-0.24.0/gptoss-r-web": {"R11": "terminal_output", "R24": "standard_name"},
    "vllm-0.24.0/gptoss-r-weather": {"R11": "terminal_output", "R14": "nested_number"},
    "vllm-0.24.0/gptoss-r-cut-5-math": {"R09": "items_closed"},
    "vllm-0.24.0/gptoss-r-bg-thinkonly": {"R02": "terminal"},
    "vllm-0.24.0/si8ds-r-cut-12-weather2": {"R15": "response_status"},
    "vllm-0.24.0/gptoss-r-cut-20-talk": {"R48": "items_closed"},
    "vllm-0.24.0/gptoss-r-mcp": {"R47": "terminal_output"},
    "vllm-0.24.0/qwen3-r-twothink": {"R46": "terminal_output"},
    "vllm-0.28.0/ds-r-nothink-talk": {"R45": "terminal_output"},
    "vllm-0.28.0/ds-r-t-web": {"R46": "terminal_output"},
    "vllm-0.28.0/gptoss-r-mcp-cut-14": {"R15": "response_status", "R47": "terminal_output"},
    "vllm-0.28.0/gptoss-r-enginekill": {"R01b": "terminal"},
    "vllm-0.14.1/ds-r-notool": {"R05": "part_open", "R25": "part_type"},
    "vllm-0.30.0/ds-r-nothink-talk": {"R45": "terminal_output"},
    "vllm-0.32.0/ds-r-cut-think": {"R15": "response_status"},
    "vllm-0.32.0/gptoss-r-weather2": {"R14": "nested_number"},
    "vllm-0.32.0/fault-r-enginekill": {"R01b": "terminal"},
    "vllm-0.32.0/fault-r-sigterm-bg": {"R02": "terminal"},
    "vllm-0.32.0/plain-r-hello": {"R30": "done_sentinel"},
}


@pytest.mark.parametrize("name", KNOWN_DEFECTS)
def test_the_judge_sees_the_known_defects(name: str) -> None:
    found = {violation.rule for violation in check_stream(RECORDINGS[name].body)}
    assert {*KNOWN_DEFECTS[name].values()} <= found


def test_a_good_stream_of_a_good_release_lacks_only_its_sentinel() -> None:
    recording = RECORDINGS["vllm-0.32.0/plain-r-hello"]
    assert check_stream(recording.body, require_done=False) == []


@pytest.mark.parametrize("name", ["vllm-0.24.0/gptoss-r-web", "vllm-0.24.0/si8gptoss-r-web-cut-22"])
def test_a_browser_call_without_a_tool_server_is_emitted_once(name: str) -> None:
    """Only the mcp_call is streamed; the final object has a web_search_call, or nothing if the call was cut (R22)."""
    made, _ = whole(RECORDINGS[name])
    assert made.count(b'"type":"mcp_call"') == 3  # announced, closed, and in the final object
    assert b'"type":"web_search_call"' not in made


@each_recording
def test_decoder_reads_every_event(recording: Recording) -> None:
    """vLLM frames cleanly: as many frames as blank lines, and nothing is left at the end."""
    decoder = FrameDecoder()
    assert len(decoder.feed(recording.body)) == recording.body.count(b"\n\n")
    assert decoder.finish() is None
