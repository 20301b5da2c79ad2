"""Line charts as SVG, for curves of a benchmark: axes with round numbers, a legend, nothing that needs a library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Points = list[tuple[float, float]]

WIDTH: Final = 720
HEIGHT: Final = 360
_LEFT: Final = 64
_RIGHT: Final = 176
_TOP: Final = 36
_BOTTOM: Final = 48

# Distinct for those who see few colours too (Okabe and Ito's palette).
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    :ivar logarithmic: values at or below zero are left out.
    :ivar ticks: where to write numbers; None: at round ones.
    """

    label: str
    logarithmic: bool = False
    ticks: Sequence[float] | None = None


def chart(title: str, x: Axis, y: Axis, series: Mapping[str, Points]) -> str:
    """Return the chart as an SVG document. Series without points are left out."""
    lines = {name: _visible(points, x, y) for name, points in series.items()}
    lines = {name: points for name, points in lines.items() if points}
    across = _Scale(x, [p[0] for points in lines.values() for p in points], _LEFT, WIDTH - _RIGHT)
    up = _Scale(y, [p[1] for points in lines.values() for p in points], HEIGHT - _BOTTOM, _TOP)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="sans-serif" font-size="12" role="img">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" fill="#222222">{escape(title)}</text>',
    ]
    for value in across.ticks:
        at = across.place(value)
        parts.append(
            f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{HEIGHT - _BOTTOM}" stroke="#e4e4e4"/>'
        )
        parts.append(_text(at, HEIGHT - _BOTTOM + 16, _number(value), anchor="middle"))
    for value in up.ticks:
        at = up.place(value)
        parts.append(
            f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{WIDTH - _RIGHT}" y2="{at:.1f}" stroke="#e4e4e4"/>'
        )
        parts.append(_text(_LEFT - 6, at + 4, _number(value), anchor="end"))
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 12, x.label, anchor="middle"))
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    turned = f'transform="rotate(-90 14 {middle:.1f})"'
    parts.append(
        f'<text x="14" y="{middle:.1f}" text-anchor="middle" fill="#222222" {turned}>{escape(y.label)}</text>'
    )
    for i, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        placed = [(across.place(a), up.place(b)) for a, b in points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in placed]
        row = _TOP + 14 + 18 * i
        beside = WIDTH - _RIGHT + 14
        parts.append(f'<rect x="{beside}" y="{row - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(beside + 16, row, name))
    return "\n".join([*parts, "</svg>\n"])


class _Scale:
    """Values to places. ``ticks`` are within the scale, or it grows to hold them."""

    def __init__(self, axis: Axis, values: Sequence[float], start: float, end: float) -> None:
        self._logarithmic = axis.logarithmic
        self._start, self._end = start, end
        low, high = (min(values), max(values)) if values else (1.0, 10.0)
        if axis.ticks is not None:
            self.ticks = list(axis.ticks)
        elif axis.logarithmic:
            exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            self.ticks = [10.0**exponent for exponent in exponents]
        else:
            step = _round_step(high)
            self.ticks = [step * i for i in range(math.ceil(high / step) + 1)]
        low, high = min(low, *self.ticks), max(high, *self.ticks)
        self._low, self._high = self._bend(low), self._bend(high)

    def place(self, value: float) -> float:
        """Return where a value stands, in pixels."""
        share = (self._bend(value) - self._low) / ((self._high - self._low) or 1.0)
        return self._start + share * (self._end - self._start)

    def _bend(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value


def _visible(points: Points, x: Axis, y: Axis) -> Points:
    return [
        (a, b)
        for a, b in points
        if math.isfinite(a)
        and math.isfinite(b)
        and (a > 0 or not x.logarithmic)
        and (b > 0 or not y.logarithmic)
    ]


def _round_step(high: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that makes about five ticks up to ``high``."""
    rough = (high or 1.0) / 5
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:g}"  # noqa: PLR2004 - thousands


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">{escape(text)}</text>'
