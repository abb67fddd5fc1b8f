"""A sweep as a picture: one HTML file that needs nothing else, in the look of a replay's.

It shows what stands in the table, and what a table cannot: how the results of a combination are distributed and
how they added up over time, in training and in the test, and how two parameters work together, both parts side
by side on one scale.
"""

from importlib.resources import files
from math import isinf
from typing import TYPE_CHECKING, Any, Final

from reactor.replay.report_page import Look, page
from reactor.sweep import findings
from reactor.sweep.judging import Row
from reactor.sweep.measures import OBJECTIVES, Measures
from reactor.sweep.study import Study

if TYPE_CHECKING:
    from numpy.typing import NDArray

CURVES_MAX: Final = 40
"""Combinations whose positions are in the page, the best ones and the base plan."""

CURVE_POSITIONS_MAX: Final = 120_000
"""Positions of all curves: about 2 MB of HTML."""

ROWS_MAX: Final = 5_000
"""Combinations in the page's table and maps; all are in the CSV file."""

FIELDS: Final = (
    "trades",
    "mean_r",
    "error_r",
    "gross_r",
    "median_r",
    "total_r",
    "worst_r",
    "best_r",
    "win_rate",
    "profit_factor",
    "max_drawdown_r",
    "recovery",
    "mean_over_sd",
    "mean_hours",
)
DIGITS: Final = 4

_SHARED: Final = files("reactor.replay") / "static"
_OWN: Final = files("reactor.sweep") / "static"
LOOK: Final = Look(
    _OWN / "sweep.html",
    (
        _SHARED / "uPlot.iife.min.js",
        _SHARED / "report_format.js",
        _OWN / "sweep_charts.js",
        _OWN / "sweep_heat.js",
        _OWN / "sweep_tables.js",
        _OWN / "sweep.js",
    ),
    (_SHARED / "uPlot.min.css", _SHARED / "report.css", _OWN / "sweep.css"),
)


def page_of(found: Study, *, heat: tuple[str, str] | None) -> bytes:
    """The page of a sweep.

    Args:
        found: the sweep.
        heat: the two parameters of the heat map at first; None where there is only one.
    """
    names = list(dict.fromkeys(course.track.name for course in found.courses))
    title = f"Sweep of {found.base.name} on {', '.join(names[:3])}"
    if len(names) > 3:
        title += f" and {len(names) - 3} more"
    return page(title=title, session=_session(found, heat), look=LOOK)


def _session(found: Study, heat: tuple[str, str] | None) -> dict[str, Any]:
    keys = [one.key for one in found.grid.parameters]
    shown = found.rows[:ROWS_MAX]
    if found.base_row not in shown:
        shown = [*shown, found.base_row]
    curves, places = _curves(found, shown)
    field, more_is_better, what = OBJECTIVES[found.asked.objective]
    parts, luck = found.split, found.luck
    return {
        "tried": findings.tried(found),
        "left_out": [*findings.left_out(found), *findings.refusals(found)],
        "beliefs": findings.beliefs(found),
        "objective": {"field": field, "more": more_is_better, "what": what},
        "parameters": keys,
        "heat": None if heat is None else [keys.index(one) for one in heat],
        "fields": FIELDS,
        "fee_bp": float(found.asked.fee_bp),
        "has_test": parts.test is not None,
        "cut": None if parts.cut_ns is None else parts.cut_ns // 10**9,
        "test_from": None if parts.test is None else parts.test.from_ns // 10**9,
        "entries": _entries(found),
        "combinations": len(found.grid.tried),
        "rows": [_row(found, row, places.get(row.number)) for row in shown],
        "left": len(found.rows) - len(shown),
        "curves": curves,
        "correlation": found.correlation,
        "luck": None if luck is None else luck._asdict(),
        "folds": [_fold(found, number) for number in range(len(found.folds))],
        "walked": _measures(found.walked) if found.folds else None,
    }


def _entries(found: Study) -> list[int]:
    times = found.entered_ns
    train = int(found.split.train.entered(times).sum())
    test = 0 if found.split.test is None else int(found.split.test.entered(times).sum())
    return [train, test]


def _row(found: Study, row: Row, curve: int | None) -> dict[str, Any]:
    return {
        "values": row.combination.values,
        "rank": row.train_rank,
        "test_rank": row.test_rank,
        "base": row.number == found.grid.base,
        "extra": row.combination.is_extra,
        "train": _measures(row.train),
        "test": _measures(row.test),
        "straddling": row.straddling,
        "open": row.left_open,
        "curve": curve,
    }


def _fold(found: Study, number: int) -> dict[str, Any]:
    fold = found.folds[number]
    best = None if fold.best is None else found.grid.combinations[fold.best].values
    return {
        "cut": findings.instant(fold.split.train.over_by_ns),
        "best": best,
        "train": _measures(fold.train),
        "test": _measures(fold.test),
        "correlation": fold.correlation,
    }


def _measures(one: Measures) -> list[float | None]:
    """The fields that are shown; an infinite one is a number that no page reads as one."""
    values = [getattr(one, name) for name in FIELDS]
    return [None if value is None else _finite(value) for value in values]


def _finite(value: float) -> float:
    return 1e300 if isinf(value) else round(float(value), DIGITS)


def _curves(found: Study, shown: list[Row]) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """The positions of the best combinations and the base plan, in the order of their exits."""
    curves: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    room = CURVE_POSITIONS_MAX
    for row in (*shown[:1], found.base_row, *shown[1:CURVES_MAX]):
        if row.number in places:
            continue
        curve = _curve(found, row.number)
        room -= len(curve["t"])
        if room < 0:
            break
        places[row.number] = len(curves)
        curves.append(curve)
    return curves, places


def _curve(found: Study, number: int) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - only where columns are read

    results, times = found.results[number], found.entered_ns
    train = found.split.train.holds(times, results)
    test: NDArray[np.bool_] = np.zeros_like(train)
    if found.split.test is not None:
        test = found.split.test.holds(times, results)
    kept = train | test
    order = np.argsort(results["exit_ns"][kept], kind="stable")
    seconds = (results["exit_ns"][kept] // 10**9)[order]
    net = (results["r"] - results["fees_r"])[kept][order]
    return {
        "t": np.diff(seconds, prepend=0).tolist(),
        "r": np.round(net, DIGITS).tolist(),
        "test": np.flatnonzero(test[kept][order]).tolist(),
    }
