"""A whole sweep: inputs read, every position of every plan played, parts compared, and what to think of it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.core.ladder import Filters
from reactor.core.market import Source
from reactor.core.plan import Plan
from reactor.errors import ConfigError
from reactor.plans import DEFAULT_PLAN, load_plan
from reactor.replay.options import ReplayOptions
from reactor.replay.session import configuration
from reactor.replay.tick_file import is_tick_file
from reactor.shell.plan_choice import PlanChoice
from reactor.sweep import chance, entries, split, workers
from reactor.sweep.asked import Asked
from reactor.sweep.course import Course
from reactor.sweep.desk import (
    NOT_OPENED,
    WITHOUT_ATR,
    Desk,
    Settings,
    filters_by_symbol,
    watch_groups,
)
from reactor.sweep.entries import Entry
from reactor.sweep.grid import Grid, grid
from reactor.sweep.judging import Fold, Row, luck_of, rows_of, walk_forward
from reactor.sweep.measures import Measures
from reactor.sweep.split import Span, Split
from reactor.sweep.tape_tracks import tape_tracks
from reactor.sweep.track import Track
from reactor.sweep.track_files import plain_tracks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POSITIONS_MAX = 20_000_000
"""Of a sweep: their results take 34 bytes each."""

Note = Callable[[str], None]
Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Takes how many positions there are, and yields what is told how many more are done."""


class Study(msgspec.Struct, kw_only=True):
    """What a sweep found.

    Attributes:
        asked: the question. `base`: the base plan. `grid`: what was tried.
        courses: the tracks. `entries`: in the order of time, those without an ATR left out.
        results: a row of `desk.RESULT` for each combination, a column for each entry.
        split: train and test. `rows`: the combinations, best in training first, the base plan last.
        luck: what chance does; None where it cannot be said.
        correlation: of the ranks in training and testing.
        folds: of walking forward. `walked`: the folds' tests together.
        without_atr, never_opened, embargoed: entries that count nowhere, and why.
    """

    asked: Asked
    base: Plan
    grid: Grid
    courses: list[Course]
    desk: Desk
    entries: list[Entry]
    results: "NDArray[np.void]"
    split: Split
    rows: list[Row]
    luck: chance.Luck | None
    correlation: float | None
    folds: list[Fold]
    walked: Measures
    without_atr: int
    never_opened: int
    embargoed: int

    @property
    def best(self) -> Row | None:
        """The combination that was best in training."""
        return next((row for row in self.rows if row.train_rank == 1), None)

    @property
    def base_row(self) -> Row:
        """The base plan's."""
        return next(row for row in self.rows if row.number == self.grid.base)

    def net(self, number: int, span: Span) -> "NDArray[np.void]":
        """The results of a combination's positions within a span."""
        results = self.results[number]
        rows: NDArray[np.void] = results[span.holds(self.entered_ns, results)]
        return rows

    @property
    def entered_ns(self) -> "NDArray[np.int64]":
        """When each entry was entered."""
        import numpy as np  # noqa: PLC0415 - only where columns are read

        return np.array([entry.t_ns for entry in self.entries], dtype=np.int64)


def study(asked: Asked, *, note: Note, progress: Progress, show_reading: bool = False) -> Study:
    """Makes a sweep.

    Args:
        asked: the question.
        note: takes each thing to be said on standard error.
        progress: shows how far it is.
        show_reading: whether to draw a bar while tapes are read.

    Raises:
        BadInputError: a file, a plan, or an option is refused.
        WorkerLost: a process died.
    """
    base = _base(asked)
    tried = grid(base, asked.parameters, drawn=asked.drawn, seed=asked.seed)
    tracks, config = _tracks(asked, base.trigger, note=note, show_reading=show_reading)
    courses = [Course(track) for track in tracks]
    _say_ways(courses, note)
    settings = Settings(
        fills=asked.fills,
        atrs=asked.atrs,
        inputs=asked.ladder,
        filters=config.filters,
        regime=config.regime,
        fee=asked.fee_bp / 10_000,
        horizon_ns=asked.horizon_ns,
        fallback_stops=asked.fallback_stops,
    )
    entered = _entries(asked, courses, config.filters)
    plans = [one.plan for one in tried.combinations]
    if len(plans) * len(entered) > POSITIONS_MAX:
        raise ConfigError(
            f"{len(plans)} combinations on {len(entered)} entries are {len(plans) * len(entered)}"
            f" positions, the limit is {POSITIONS_MAX}: enter less often, or draw with --random"
        )
    by_track = [[one for one in entered if one.track == number] for number in range(len(tracks))]
    desk = Desk(courses, plans, by_track, settings)
    results = _play(desk, tracks, plans, by_track, settings, asked.workers, progress)
    return _judged(asked, base, tried, courses, desk, entered, by_track, results, note)


# Reading ------------------------------------------------------------------------------------------


class _Config(msgspec.Struct):
    filters: dict[str, Filters]
    regime: Any


def _base(asked: Asked) -> Plan:
    plan = load_plan(asked.plan or DEFAULT_PLAN)
    trigger = asked.trigger
    if all(is_tick_file(one.path) for one in asked.inputs):
        # Its price is the trigger price, whatever source the plan would watch.
        trigger = "last"
    return plan if trigger is None else msgspec.structs.replace(plan, trigger=trigger)


def _tracks(
    asked: Asked, source: Source, *, note: Note, show_reading: bool
) -> tuple[list[Track], _Config]:
    tapes = [one for one in asked.inputs if not is_tick_file(one.path)]
    plain = [one for one in asked.inputs if is_tick_file(one.path)]
    for one in tapes:
        if one.symbol is not None:
            raise ConfigError(
                f"{one.symbol}={one.path}: a tape says itself whose prices it has; --symbol picks some"
            )
    if plain and source != "last":
        raise ConfigError(
            f"plain ticks and candles are last prices, and the plan watches {source}; add --trigger last"
        )
    paths = [tuple(one.path for one in tapes)] if asked.joined and tapes else []
    paths = paths or [(one.path,) for one in tapes]
    tracks: list[Track] = []
    header = None
    for group in paths:
        found, told = tape_tracks(
            group, source=source, only=asked.symbols, note=note, show_progress=show_reading
        )
        header = header or told
        tracks += found
        if not found:
            wanted = f" of {', '.join(asked.symbols)}" if asked.symbols else ""
            note(f"{group[0].name}: no {source!r} price{wanted}; choose a source with --trigger")
    for given in plain:
        tracks += plain_tracks(given, only=asked.symbols, note=note)
    tracks = [track for track in tracks if len(track)]
    if not tracks:
        wanted = f" of {', '.join(asked.symbols)}" if asked.symbols else ""
        raise ConfigError(
            f"no file has a {source!r} price{wanted} to enter at; choose a source with --trigger"
            " mark|last|book, or other symbols"
        )
    config = configuration(ReplayOptions(config=asked.config), header)
    filters = _configured(config)
    filters |= {
        symbol: Filters(
            tick=one.tick or filters.get(symbol, Filters()).tick,
            step=one.step or filters.get(symbol, Filters()).step,
            min_quantity=asked.min_quantities.get(
                symbol, filters.get(symbol, Filters()).min_quantity
            ),
        )
        for symbol, one in filters_by_symbol(asked.ticks, asked.steps, asked.min_quantities).items()
    }
    regime = PlanChoice(config, override=load_plan(DEFAULT_PLAN)).steering().config
    return tracks, _Config(filters, regime)


def _configured(config: Any) -> dict[str, Filters]:
    return filters_by_symbol(
        {name: one.tick for name, one in config.symbols.items() if one.tick},
        {name: one.step for name, one in config.symbols.items() if one.step},
        {name: one.min_qty for name, one in config.symbols.items() if one.min_qty},
    )


def _say_ways(courses: Sequence[Course], note: Note) -> None:
    for course in courses:
        if course.refusal is not None:
            track = course.track
            note(f"{track.name} {track.symbol}: walked tick by tick: {course.refusal}")


def _entries(asked: Asked, courses: Sequence[Course], filters: dict[str, Filters]) -> list[Entry]:
    if asked.positions:
        return entries.asked(courses, asked.positions)
    found = entries.every(
        courses,
        every_ns=asked.every_ns,
        sides=asked.sides,
        notional=asked.notional,
        horizon_ns=asked.horizon_ns or 0,
        filters=[filters.get(course.track.symbol, Filters()) for course in courses],
    )
    if not found:
        raise ConfigError("no entry falls into the recordings; enter more often with --every 1m")
    return found


# Playing ------------------------------------------------------------------------------------------


def _play(
    desk: Desk,
    tracks: Sequence[Track],
    plans: Sequence[Plan],
    by_track: Sequence[Sequence[Entry]],
    settings: Settings,
    processes: int,
    progress: Progress,
) -> workers.Results:
    total = len(plans) * sum(map(len, by_track))
    work = workers.jobs(watch_groups(plans), by_track, workers=processes)
    with progress(total) as done:
        if processes == 1 or len(work) == 1:
            return workers.work_alone(desk, work, done=done)
        return workers.work_together(
            tracks, plans, by_track, settings, work, workers=processes, done=done
        )


def _in_order(
    results: workers.Results,
    plans: int,
    entered: Sequence[Entry],
    by_track: Sequence[Sequence[Entry]],
) -> "NDArray[np.void]":
    """All jobs' results as one table: a row for each plan, a column for each entry in the order of time."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    columns: list[list[int]] = [[] for _ in by_track]
    for column, entry in enumerate(entered):
        columns[entry.track].append(column)
    some = next(iter(results.values()))
    table = np.zeros((plans, len(entered)), dtype=some.dtype)
    for job, rows in results.items():
        first, end = job.entries
        table[np.ix_(job.plans, columns[job.track][first:end])] = rows
    return table


# Judging ------------------------------------------------------------------------------------------


def _judged(
    asked: Asked,
    base: Plan,
    tried: Grid,
    courses: list[Course],
    desk: Desk,
    entered: list[Entry],
    by_track: Sequence[Sequence[Entry]],
    played: workers.Results,
    note: Note,
) -> Study:
    import numpy as np  # noqa: PLC0415 - only where columns are read

    results = _in_order(played, len(tried.combinations), entered, by_track)
    # An entry that one plan could not play for want of an ATR counts for none: all are tried on the same.
    # (A base plan that only stands beside them has no say in it.)
    states = results["state"][: len(tried.tried)]
    without_atr = (states == WITHOUT_ATR).any(axis=0)
    never = (states == NOT_OPENED).all(axis=0) & ~without_atr
    kept = ~(without_atr | never)
    if not bool(kept.any()):
        raise ConfigError(_nothing_entered(courses, base, int(without_atr.sum())))
    entered = [entry for entry, keep in zip(entered, kept, strict=True) if keep]
    results = results[:, kept]
    times = np.array([entry.t_ns for entry in entered], dtype=np.int64)
    parts = split.split(
        times.tolist(),
        share=asked.share,
        embargo_ns=asked.embargo_ns,
        horizon_ns=asked.horizon_ns or 0,
    )
    if parts.test is None and asked.share < 1:
        note("too few entries to split: all of them train, and nothing tests")
    rows = rows_of(asked, tried, results, times, parts)
    folds, walked = walk_forward(asked, tried, results, times)
    test = parts.test
    embargoed = None if test is None else Span(parts.train.to_ns, test.from_ns, test.from_ns)
    ranked = [row for row in rows if row.train_rank is not None]
    return Study(
        asked=asked,
        base=base,
        grid=tried,
        courses=courses,
        desk=desk,
        entries=entered,
        results=results,
        split=parts,
        rows=rows,
        luck=luck_of(asked, results, times, parts, ranked),
        correlation=chance.rank_correlation(
            [row.train_score for row in ranked], [row.test_score for row in ranked]
        ),
        folds=folds,
        walked=walked,
        without_atr=int(without_atr.sum()),
        never_opened=int(never.sum()),
        embargoed=0 if embargoed is None else int(embargoed.entered(times).sum()),
    )


def _nothing_entered(courses: Sequence[Course], base: Plan, without_atr: int) -> str:
    if not without_atr:
        return "no position was ever opened: no price of these files counts"
    track = courses[0].track
    minutes = (int(track.ticks.t_ns[-1]) - int(track.ticks.t_ns[0])) / 6e10
    atr = base.atr
    return (
        f"no entry: an ATR of {atr.period} candles of {atr.interval} is never ready in {track.name}"
        f" ({minutes:.0f} min); give --atr {track.symbol}=VALUE, a shorter atr.interval, or --fallback-stops"
    )
