"""The benchmark's words and pictures: made of its results and nothing else. What it measures, no test can say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import layers, report
from bench.measure import DIRECT, NGINX, PASSTHROUGH, PROXY
from bench.plot import Axis, chart
from proxy.responses.conformance import check_stream

ROOT = Path(__file__).parents[1]


def run(*, events: int, cpu_s: float, p50: float = 100.0) -> dict[str, Any]:
    quantiles = {"min": 1.0, "p50": p50, "p99": 2 * p50, "max": 4 * p50}
    return {
        "events": events,
        "ok": 1,
        "wall_s": 1.0,
        "cpu_s": cpu_s,
        "latency_us": quantiles,
        "first_us": quantiles,
        "stream_p99_us": quantiles,
        "share": quantiles,
    }


def results(**runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    about = {
        "date": "2026-11-21",
        "rounds": 2,
        "processor": "P",
        "cores": 2,
        "kernel": "6",
        "versions": {"Python": "3"},
        "load_before": 0.1,
        "load_after": 0.2,
    }
    return {"loads": {"runs": runs, "skipped": [], "about": about}}


class TestRatios:
    def test_are_made_within_a_round(self) -> None:
        # The machine was twice as slow in the second round: the ratio is 2 in both, of the medians it would be 1.5.
        slow = results(
            burst={
                PASSTHROUGH: [run(events=1000, cpu_s=0.001), run(events=1000, cpu_s=0.002)],
                PROXY: [run(events=1000, cpu_s=0.002), run(events=1000, cpu_s=0.004)],
            }
        )
        assert report.ratio(slow, "burst", PROXY, PASSTHROUGH, report.cpu_us) == pytest.approx(2.0)

    def test_leave_out_runs_that_answered_nothing(self) -> None:
        dead = {**run(events=0, cpu_s=0.0), "ok": 0}
        assert (
            report.ratio(results(burst={NGINX: [dead], PROXY: [dead]}), "burst", PROXY, NGINX, report.rate)
            is None
        )

    def test_what_is_added_is_the_difference_to_no_proxy(self) -> None:
        found = results(
            paced={DIRECT: [run(events=9, cpu_s=1, p50=50)], PROXY: [run(events=9, cpu_s=1, p50=250)]}
        )
        target = {what: value for what, value, *_ in report.targets(found)}
        assert target["latency added per live event, p50"] == pytest.approx(0.2)


def test_targets_that_were_not_met_say_so() -> None:
    expensive = results(
        burst={PASSTHROUGH: [run(events=1000, cpu_s=0.001)], PROXY: [run(events=1000, cpu_s=0.002)]}
    )
    line = next(
        line for line in report.tables(expensive).splitlines() if line.startswith("| CPU per event, bursts")
    )
    assert line == "| CPU per event, bursts, × pass-through | 2.00 | ≤ 2.6: met | ≤ 1.5: **not met** |"


def test_document_is_in_step_with_the_results() -> None:
    found = json.loads(report.RESULTS.read_text("utf-8"))
    text = report.DOCUMENT.read_text("utf-8")
    assert report.document(text, found) == text, "run python -m bench.report"
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
