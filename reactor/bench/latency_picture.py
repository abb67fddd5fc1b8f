"""The picture of `bench latency`: how orders are spread over time, on a logarithmic axis, as SVG."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from reactor.bench.latency_outcome import Found

WIDTH: Final = 960
ROW: Final = 64
LEFT, RIGHT, TOP, BOTTOM = 176, 40, 64, 60
AXIS: Final = "µs from the tick's sending to the order's receipt, logarithmic"
FLOOR, PRODUCT = "#8a8f98", "#1668c7"


def drawn(cases: Sequence[Found]) -> str:
    """One row a case: the floor above the line, the product below it, marks at 50, 90 and 99 %.

    Args:
        cases: with at least one order each.
    """
    values = [value for case in cases for value in (*case.shape_us, *case.floor_shape_us)]
    low = 10 ** math.floor(math.log10(max(1.0, min(values, default=10.0))))
    high = 10 ** math.ceil(math.log10(max([*values, low * 10])))
    height = TOP + ROW * len(cases) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        '  font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="24" font-size="16">From tick to order, µs</text>',
        f'<text x="16" y="44" fill="{FLOOR}">above: the C floor</text>',
        f'<text x="150" y="44" fill="{PRODUCT}">below: the product</text>',
        '<text x="290" y="44" fill="#555">a bar is the share of orders; ticks mark 50, 90, 99 %</text>',
        *_axis(low, high, height),
        f'<text x="{(LEFT + WIDTH - RIGHT) // 2}" y="{height - 14}" text-anchor="middle" fill="#555">{AXIS}</text>',
    ]
    for number, case in enumerate(cases):
        middle = TOP + ROW * number + ROW // 2
        parts += [
            f'<text x="16" y="{middle - 2}">{escape(case.name)}</text>',
            f'<text x="16" y="{middle + 13}" fill="#555">p50 {case.ratio_p50:.2f}×, p99 {case.ratio_p99:.2f}×</text>',
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle}" y2="{middle}" stroke="#ccc"/>',
            *_bars(case.floor_shape_us, low, high, middle, up=True),
            *_bars(case.shape_us, low, high, middle, up=False),
        ]
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float, low: float, high: float) -> float:
    share = math.log10(max(value, low) / low) / math.log10(high / low)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _axis(low: float, high: float, height: int) -> list[str]:
    parts = []
    at = low
    while at <= high * 1.001:
        for step in range(1, 10):
            value = at * step
            if value > high * 1.001:
                break
            x = _x(value, low, high)
            shade = "#bbb" if step == 1 else "#eee"
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}" stroke="{shade}"/>'
            )
            if step in {1, 2, 5}:
                parts.append(
                    f'<text x="{x:.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{value:g}</text>'
                )
        at *= 10
    return parts


def _bars(values: Sequence[float], low: float, high: float, middle: int, *, up: bool) -> list[str]:
    """A histogram whose bars are equally wide on the logarithmic axis."""
    count = 120
    shares = [0] * count
    span = math.log10(high / low)
    for value in values:
        place = int(math.log10(max(value, low) / low) / span * count)
        shares[min(place, count - 1)] += 1
    most = max(shares, default=0) or 1
    width = (WIDTH - LEFT - RIGHT) / count
    colour = FLOOR if up else PRODUCT
    parts = []
    for place, share in enumerate(shares):
        if share:
            size = share / most * (ROW // 2 - 6)
            y = middle - size if up else middle
            parts.append(
                f'<rect x="{LEFT + place * width:.1f}" y="{y:.1f}" width="{width:.1f}" height="{size:.1f}"'
                f' fill="{colour}"/>'
            )
    for rank in (0.5, 0.9, 0.99):
        x = _x(values[min(len(values) - 1, int(rank * len(values)))], low, high)
        y = middle - ROW // 2 + 4 if up else middle
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + ROW // 2 - 4}" stroke="#000"/>'
        )
    return parts
