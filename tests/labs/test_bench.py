"""The benchmark's words and pictures: made of its results and nothing else. What it measures, no test can say."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from bench import layers, machine, peers, peers_report, recordings, report, streams, summary, worst
from bench.measure import DIRECT, NGINX, PASSTHROUGH, PROXY
from bench.plot import Axis, chart
from bench.shapes import FAMILIES
from bench.streams import Answer, Exchange
from tests.labs import ROOT
from tests.labs.clients.installation import InstallationError
from tests.support.upstream import Chunk, Cut, FakeUpstream, Head, Wait, json_answer, stream
from vllm_sse_proxy.families.responses.conformance import check_stream

if TYPE_CHECKING:
    from pathlib import Path


def run(*, events: int, cpu_s: float, p50: float = 100.0) -> dict[str, Any]:
    quantiles = {"min": 1.0, "p50": p50, "p99": 2 * p50, "max": 4 * p50}
    return {
        "events": events,
        "ok": 1,
        "completed": 1,
        "wall_s": 1.0,
        "cpu_s": cpu_s,
        "latency_us": quantiles,
        "first_us": quantiles,
        "stream_p99_us": quantiles,
        "share": quantiles,
    }


ABOUT: dict[str, Any] = {
    "date": "2026-11-21",
    "rounds": 2,
    "processor": "P",
    "cores": 2,
    "kernel": "6",
    "versions": {"Python": "3"},
    "load_before": 0.1,
    "load_after": 0.2,
}


def results(part: str = "loads", /, **runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {part: summary.kept(part, {"runs": runs, "skipped": [], "about": ABOUT})}


class TestRatios:
    def test_are_made_within_a_round(self) -> None:
        # The machine was twice as slow in the second round: the ratio is 2 in both, of the medians it would be 1.5.
        slow = results(
            burst={
                PASSTHROUGH: [run(events=1000, cpu_s=0.001), run(events=1000, cpu_s=0.002)],
                PROXY: [run(events=1000, cpu_s=0.002), run(events=1000, cpu_s=0.004)],
            }
        )
        assert report.ratio(slow, "burst", PROXY, PASSTHROUGH, "cpu_us") == pytest.approx(2.0)

    def test_leave_out_runs_that_answered_nothing(self) -> None:
        dead = {**run(events=0, cpu_s=0.0), "ok": 0}
        assert (
            report.ratio(results(burst={NGINX: [dead], PROXY: [dead]}), "burst", PROXY, NGINX, "rate") is None
        )

    def test_what_is_added_is_the_difference_to_no_proxy(self) -> None:
        found = results(
            paced={DIRECT: [run(events=9, cpu_s=1, p50=50)], PROXY: [run(events=9, cpu_s=1, p50=250)]}
        )
        target = {what: value for what, value, *_ in report.targets(found)}
        assert target["latency added per live event, p50"] == pytest.approx(0.2)


class TestWhatIsKept:
    def test_is_the_median_and_not_the_rounds(self) -> None:
        found = results(light={PROXY: [run(events=n, cpu_s=0.5) for n in (900, 1000, 2000)]})
        assert report.typical(found, "light", PROXY, "rate") == 1000
        assert report.typical(found, "light", PROXY, "cpu_us") == 500
        assert report.typical(found, "light", PROXY, "latency_us", "p99") == 200
        assert report.typical(found, "light", PROXY, "latency_us", "min") is None, "shown of one load only"
        assert report.typical(found, "light", NGINX, "rate") is None
        assert report.typical(found, "rush", PROXY, "rate") is None
        assert report.ratio(found, "light", PROXY, PROXY, "rate") == 1
        assert report.ratio(found, "light", PROXY, NGINX, "rate") is None

    def test_is_rounded(self) -> None:
        assert summary.rounded({"a": 0.123456789, "b": 1234567.89, "c": [1.5], "d": math.inf, "e": 7}) == {
            "a": 0.12346,
            "b": 1234568,
            "c": [1.5],
            "d": math.inf,
            "e": 7,
        }

    def test_of_a_curve_is_its_growth_too(self) -> None:
        curve = {PROXY: {"20": [1.0, 3.0], "2000": [2.0, 2.0], "100000": [3.0, 4.0]}}
        assert summary.of_curve(curve, "2000") == {
            PROXY: {"medians": {"20": 2.0, "2000": 2.0, "100000": 3.5}, "growth": 1.75}
        }

    def test_of_workers_is_the_ratio_within_a_round(self) -> None:
        kept = summary.of_workers({"1": [100.0, 200.0, 300.0], "2": [150.0, 400.0, 600.0]})
        assert kept == {"events_per_s": {"1": 200.0, "2": 400.0}, "speedup": 2.0}
        assert summary.of_workers(None)["events_per_s"] is None

    def test_lag_is_summed(self) -> None:
        lag = {**run(events=9, cpu_s=1), "lag": {"0.001": 2.0, "+Inf": 3.0}}
        assert report.figure(results(paced={PROXY: [lag, lag]}), "paced", PROXY, "lag") == {
            "0.001": 4,
            "+Inf": 6,
        }


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 16])
def test_upstream_client_and_proxy_have_cores_of_their_own_where_there_are_enough(number: int) -> None:
    cores = machine.cores(range(number))
    every = {str(core) for core in range(number)}
    workers = set(cores.workers.split(","))
    if number < machine.APART:
        assert cores.upstream == cores.client
        assert workers == set(cores.workers_client.split(",")) == every
    else:
        assert len({cores.upstream, cores.client, cores.proxy}) == 3
        assert workers == every - {cores.upstream, cores.client}
        assert cores.workers_client == cores.client
    assert cores.proxy in every
    assert number == 1 or cores.proxy != cores.client


def test_targets_that_were_not_met_say_so() -> None:
    expensive = results(
        burst={PASSTHROUGH: [run(events=1000, cpu_s=0.001)], PROXY: [run(events=1000, cpu_s=0.002)]}
    )
    line = next(
        line for line in report.tables(expensive).splitlines() if line.startswith("| CPU per event, bursts")
    )
    assert line == "| CPU per event, bursts, × pass-through | 2.00 | ≤ 2: met | ≤ 1.5: **not met** |"


def test_the_target_of_recorded_streams_names_the_farthest_one() -> None:
    def runs(cost: float) -> dict[str, list[dict[str, Any]]]:
        return {NGINX: [run(events=1000, cpu_s=0.01)], PROXY: [run(events=1000, cpu_s=cost)]}

    found = results("recordings", **{"live-0.12": runs(0.02), "live-0.32-chat": runs(0.03)})
    target = {what: value for what, value, *_ in report.targets(found)}
    assert target["CPU per live event, × nginx, every recorded stream, here 0.32, chat completion"] == 3.0
    assert target["CPU per event, bursts, × pass-through, every recorded stream"] is None
    rows = report.tables(found).splitlines()
    assert "| 0.12, simple path | `vllm-0.12.0/ds-r-weather2` | – | – | – | 20.0 | 2.0 | – |" in rows


def test_recorded_streams_are_laid_out_as_vllm_sent_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "ANSWERS", tmp_path)
    loads = recordings.loads()
    assert len(loads) == 2 * len(recordings.RECORDED)
    for load in loads.values():
        kind, _, number, *_ = load.spec.split("-")
        assert f"spec={load.spec}" in json.dumps(load.body)
        laid_out = (tmp_path / number).read_bytes()
        assert laid_out.startswith(b"HTTP/1.1 200 OK\r\n")
        assert laid_out.endswith(b"\r\n0\r\n\r\n")
        assert kind in recordings.KINDS or kind == "file"


def test_document_is_in_step_with_the_results() -> None:
    found = json.loads(report.RESULTS.read_text("utf-8"))
    for page, text in report.documents(found).items():
        assert page.read_text("utf-8") == text, "run python -m bench.report"
    for name, picture in report.plots(found).items():
        assert (report.DOCUMENT.parent / name).read_text("utf-8") == picture, "run python -m bench.report"


class TestChart:
    def test_is_an_svg_that_names_its_series(self) -> None:
        svg = chart("a < b", Axis("x"), Axis("y"), {"one": [(0, 1), (5, 2)], "none": []})
        root = ET.fromstring(svg)  # noqa: S314 - our own
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "a < b" in texts
        assert "one" in texts
        assert "none" not in texts

    @pytest.mark.parametrize("logarithmic", [True, False])
    def test_draws_within_its_axes(self, *, logarithmic: bool) -> None:
        axis = Axis("", logarithmic=logarithmic)
        svg = chart("", axis, axis, {"s": [(0.0, 3.0), (0.02, 0.5), (1234.0, 99.0), (math.nan, 1.0)]})
        circles = list(ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}circle"))  # noqa: S314
        assert len(circles) == (2 if logarithmic else 3)
        for circle in circles:
            assert 64 <= float(circle.attrib["cx"]) <= 544
            assert 36 <= float(circle.attrib["cy"]) <= 312


def test_the_deltas_of_the_layers_conform() -> None:
    head = b"".join(layers.opening())
    without = [violation.rule for violation in check_stream(head)]  # that it does not end
    assert [violation.rule for violation in check_stream(head + b"".join(layers.deltas(50)))] == without
    assert len(check_stream(head + b"".join(layers.deltas(50, broken=True)))) > len(without)


FOLDER = ROOT / "tests" / "recordings" / "done_texts"
BROKEN = (FOLDER / "upstream.sse").read_bytes()
REPAIRED = (FOLDER / "expected.sse").read_bytes()
ERROR = b'data: {"error":{"message":"no\\nmore","code":500}}\n\n'


def spaced(body: bytes) -> bytes:
    """Return a stream with other bytes that say the same, and without `event:` lines."""
    said = [
        data if data == b"[DONE]" else json.dumps(json.loads(data)).encode()
        for data in streams.payloads(body)
    ]
    return b"".join(b"data: " + data + b"\n\n" for data in said)


def without_end(body: bytes) -> bytes:
    return body[: body.index(b"event: response.completed")]


class TestWhatBecameOfAStream:
    @pytest.mark.parametrize(
        ("received", "fate"),
        [
            (Answer(200, BROKEN, whole=True), streams.UNCHANGED),
            (Answer(200, REPAIRED, whole=True), streams.CONFORMING),
            (Answer(200, spaced(REPAIRED), whole=True), streams.CONFORMING),
            (Answer(200, REPAIRED.removesuffix(b"data: [DONE]\n\n"), whole=True), streams.CONFORMING),
            (Answer(200, spaced(BROKEN), whole=True), streams.SAME_FAULTS),
            (
                Answer(200, BROKEN.replace(b'"delta":"Hello', b'"delta":{},"x":"'), whole=True),
                streams.OTHER_FAULTS,
            ),
            (Answer(200, without_end(BROKEN) + ERROR, whole=True), streams.ERROR),
            (Answer(200, without_end(BROKEN), whole=True), streams.END_LOST),
            (Answer(200, without_end(BROKEN), whole=False), streams.CUT),
            (Answer(502, b"", whole=True), streams.SERVER_ERROR),
            (Answer(400, b"{}", whole=True), streams.REFUSED),
            (Answer(0, b"", whole=False), streams.NO_ANSWER),
            (Answer(200, REPAIRED[:900], whole=False, hung=True), streams.HANGS),
        ],
    )
    def test_follows_from_the_bytes(self, received: Answer, fate: str) -> None:
        assert streams.fate(Answer(200, BROKEN, whole=True), received) == fate

    def test_a_cut_that_is_passed_on_is_no_change(self) -> None:
        cut = without_end(BROKEN)
        assert streams.fate(Answer(200, cut, whole=False), Answer(200, cut, whole=False)) == streams.UNCHANGED
        assert streams.fate(Answer(200, cut, whole=False), Answer(200, cut, whole=True)) == streams.END_LOST

    @pytest.mark.parametrize("status", [200, 0])
    def test_nothing_that_stays_nothing_is_no_change(self, status: int) -> None:
        received = Answer(status, b"", whole=False)
        assert streams.fate(Answer(200, b"", whole=False), received) == streams.UNCHANGED

    def test_is_summed_up(self) -> None:
        exchange = Exchange("one", {}, Answer(200, BROKEN, whole=True))
        error = Answer(200, without_end(BROKEN) + ERROR, whole=True)
        received = [exchange.upstream, Answer(200, REPAIRED, whole=True), error, Answer(400, b"", whole=True)]
        sums = streams.sums([exchange] * 4, received)
        assert sums["fates"] == {
            streams.UNCHANGED: 1,
            streams.CONFORMING: 1,
            streams.ERROR: 1,
            streams.REFUSED: 1,
        }
        assert sums["faultless"] == 1
        assert sums["rules"]["text_sum"] == 2
        assert sums["errors"] == {"no": 1}

    def test_words_that_never_came_are_lost(self) -> None:
        exchange = Exchange("one", {}, Answer(200, REPAIRED, whole=True))
        beginning = REPAIRED[: REPAIRED.index(b"event: response.output_text.delta")]
        received = [Answer(200, REPAIRED, whole=True), Answer(200, beginning, whole=False)]
        assert streams.sums([exchange] * 2, received)["words_lost"] == 1

    def test_is_described_with_its_error_and_where_it_broke_off(self) -> None:
        received = Answer(200, without_end(BROKEN) + ERROR, whole=True)
        found = streams.described(Answer(200, BROKEN, whole=True), received)
        assert (found["sent"], found["came"], found["error"]) == (9, 9, "no")
        assert "terminal" in found["rules_after"]
        assert "terminal" not in found["rules_before"]


class TestRecordedStreams:
    def test_stand_alone(self) -> None:
        exchanges = streams.recorded()
        assert len({exchange.name for exchange in exchanges}) == len(exchanges) > 100
        assert not [each.name for each in exchanges if each.request.get("background")]
        assert {streams.ends(each.upstream.body) for each in exchanges} == {True, False}

    @pytest.mark.parametrize("whole", [True, False])
    def test_are_sent_as_they_came(self, *, whole: bool) -> None:
        wire = streams.on_the_wire(Answer(200, BROKEN, whole=whole))
        head, _, body = wire.partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body.endswith(b"\r\n0\r\n\r\n") == whole
        sizes = [int(line, 16) for line in body.split(b"\r\n")[:-1:2] if line]
        assert sum(sizes) == len(BROKEN)

    @pytest.mark.parametrize("input_", ["Hello", [{"role": "user", "content": "Hello"}]])
    def test_are_asked_for_in_the_input(self, input_: Any) -> None:
        request = {"model": "tiny", "input": input_, "stop": ["x"]}
        made = streams.asking_for(request, "file-ok-7")
        assert json.dumps(made["input"]).index("spec=file-ok-7") < json.dumps(made["input"]).index("Hello")
        assert (made["stop"], made["stream"], made["store"]) == (["x"], True, False)
        assert "store" not in streams.asking_for(request, "file-ok-7", storing=True)

    async def test_are_read_as_they_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with FakeUpstream() as upstream:
            upstream.answer(*stream(b"data: 1\n\n", b"data: 2\n\n"))
            upstream.answer(Head(), Chunk(b"data: 1\n\n"), Cut())
            upstream.answer(*json_answer({}, status=400))
            upstream.answer(Cut())
            upstream.answer(Head(), Chunk(b"data: 1\n\n"), Wait(asyncio.Event()))
            received = [await asyncio.to_thread(streams.ask, upstream.port, {}) for _ in range(4)]
            monkeypatch.setattr(streams, "_ANSWER_SECONDS", 0.1)
            received.append(await asyncio.to_thread(streams.ask, upstream.port, {}))
        assert received == [
            Answer(200, b"data: 1\n\ndata: 2\n\n", whole=True),
            Answer(200, b"data: 1\n\n", whole=False),
            Answer(400, b"{}", whole=True),
            Answer(0, b"", whole=False),
            Answer(200, b"data: 1\n\n", whole=False, hung=True),
        ]


class TestPeers:
    @pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
    def test_are_pinned_with_all_that_they_need(self, peer: peers.Peer) -> None:
        assert peers.version_of(peer)
        pins = peer.installation.pins.read_text("utf-8").splitlines()
        lines = [line.partition(" ;")[0] for line in pins if not line.startswith(("#", "--only-binary"))]
        assert not [line for line in lines if line.count("==") != 1]

    def test_one_that_does_not_install_is_skipped_with_the_reason(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: object) -> None:
            raise InstallationError("pip …:\nno such wheel")

        monkeypatch.setattr(peers.Installation, "install", fail)
        able, skipped = peers.install(peers.PEERS[:1])
        assert not able
        assert "no such wheel" in skipped[0]

    def test_document_is_in_step_with_the_results(self) -> None:
        found = json.loads(peers_report.RESULTS.read_text("utf-8"))
        text = report.DOCUMENT.read_text("utf-8")
        assert peers_report.document(text, found) == text, "run python -m bench.peers_report"

    def test_a_load_that_came_to_no_end_has_no_cost(self) -> None:
        whole, broken = ({**run(events=9, cpu_s=1), "completed": n} for n in (1, 0))
        found = results(broken={"A": [whole], "B": [broken]})
        assert not peers_report.breaks_off(found, "broken", "A")
        assert peers_report.breaks_off(found, "broken", "B")
        assert peers_report.breaks_off(found, "broken", "C"), "not measured"

    def test_storing_is_kept_and_shown_where_it_changes_something(self) -> None:
        def judged(fate: str) -> dict[str, Any]:
            sums = {
                "count": 1,
                "fates": {fate: 1},
                "faultless": 0,
                "words_lost": 0,
                "rules": {},
                "errors": {},
            }
            return {"ended": sums, "cut": sums}

        same, other = judged(streams.UNCHANGED), judged(streams.ERROR)
        received = {
            name: {"plain": same, "storing": storing, "synthetic": {"burst-bad": one}}
            for name, storing, one in (
                ("A", same, {"fate": streams.UNCHANGED, "sent": 9, "came": 9, "error": None}),
                ("B", other, {"fate": streams.ERROR, "sent": 9, "came": 4, "error": "no"}),
            )
        }
        about = results()["loads"]["about"]
        part = {"sent": same, "received": received, "about": about}
        idle = {
            "B": {
                "1": {"mib": 1.0, "open": 1, "released_s": None},
                "100": {"mib": 2.0, "open": 49, "released_s": 0.1},
            }
        }
        memory = {"idle": idle, "answers_after": {"B": False}, "about": about}
        found = peers.kept({"loads": {"runs": {}, "about": about}, "memory": memory, "streams": part})
        assert "storing" not in found["streams"]["received"]["A"]
        text = peers_report.tables(found)
        assert "| A | 1 |" in text
        assert "| B, storing | – | 1 |" in text
        assert "A, storing" not in text
        assert "ended by an error after 4 of 9 events (“no”)" in text
        assert "| B | 1.0 | 2.0 (49 open) | 21.3 | not within 6 s | 100 ms | **no** |" in text


class TestWorst:
    def test_every_shape_grows_by_its_element_and_ends(self) -> None:
        for name, shape in FAMILIES["responses"].shapes.items():
            few, more = shape(20), shape(40)
            assert len(few) < len(more) < 2 * len(few) + 4000, name
            assert few.endswith(b"data: [DONE]\n\n") or b"\r\n" in few, name
            assert shape.__doc__, name

    def test_a_stream_is_as_long_as_asked(self) -> None:
        for family in FAMILIES.values():
            for name, shape in family.shapes.items():
                stream = shape(worst.elements_in(shape, 50_000))
                assert 40_000 < len(stream) < 60_000, name

    def test_the_table_says_what_took_too_long(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert worst.main(["--family", "responses", "--only", "deltas", "calls", "--kilobytes", "20"]) == 0
        shown = capsys.readouterr().out
        assert "| responses | whole calls that the final object repeats |" in shown
        assert "0 of 2 over 100 ms." in shown
        slow = worst.Row("responses", "deltas", elements=2, size=1_000_000, out=1, ms=250.0, half_ms=50.0)
        assert worst.line(slow).endswith("| **250** | ×5.0 |")
