"""A whole replay: opens the input, chooses the engine, plays, and answers with the summary."""

import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import msgspec

from reactor.core.decisions import Decision
from reactor.core.market import Market, Source
from reactor.errors import ConfigError
from reactor.replay.lines import Line
from reactor.replay.options import ReplayOptions
from reactor.replay.progress import progress_shown
from reactor.replay.report import Report
from reactor.replay.session import Session
from reactor.replay.tick_file import TickFile, is_tick_file, read_tick_file
from reactor.replay.verify import Verifier
from reactor.replay.walk import open_tapes, walk

PICTURE_POINTS = 50_000
"""Spans of a tick file whose extremes the picture is told; it keeps fewer."""


class ReplayResult(msgspec.Struct, frozen=True):
    """What a replay leaves beside its lines."""

    summary: Line
    difference: str | None


def replay(
    options: ReplayOptions,
    paths: Sequence[Path],
    *,
    emit: Callable[[Line], None],
    note: Callable[[str], None],
    report: Path | None = None,
    show_progress: bool = False,
) -> ReplayResult:
    """Plays tapes, or one file of plain ticks.

    Args:
        options: what decides the decisions.
        paths: the files, in the order in which they are played.
        emit: takes every output line, the summary last.
        note: takes everything to be said on standard error.
        report: where to write the picture; None for none.
        show_progress: whether to draw a progress bar on standard error.

    Raises:
        BadInputError: a file, a plan or an option is refused.
    """
    if report is not None:
        _refuse_report(report, paths)
    picture = None if report is None else Report(title=", ".join(path.name for path in paths))

    def say(message: str) -> None:
        note(message)
        if picture is not None:
            now_ns = session.pump.now_ns if session is not None else 0
            picture.line({"type": "note", "t": now_ns, "symbol": "", "text": message})

    def put(line: Line) -> None:
        emit(line)
        if picture is not None:
            picture.line(line)

    session: Session | None = None
    if any(is_tick_file(path) for path in paths):
        session, play = _tick_session(options, paths, put, say, picture)
    else:
        if options.symbol is not None:
            raise ConfigError(
                "--symbol names what a file of plain ticks is of; tapes say so themselves"
            )
        if options.engine == "columns":
            say("a tape is walked message by message: the columnar jump takes files of plain ticks")
        tapes = open_tapes(paths)
        session = Session(options, header=tapes[0].header, emit=put, note=say)

        def play() -> None:
            assert session is not None
            with progress_shown(paths, enabled=show_progress) as progress:
                walk(session, tapes, speed=options.speed, progress=progress)

    if picture is not None:
        _watch_prices(session, picture)
    started = time.perf_counter()
    play()
    summary = session.finish(seconds=time.perf_counter() - started)
    put(summary)
    if picture is not None and report is not None:
        picture.write(report)
    difference = None
    if session.verifier is not None:
        difference = session.verifier.finish(session.pump.now_ns)
        if difference is None:
            note(_agreed(session.verifier))
    return ReplayResult(summary, difference)


def _agreed(verifier: Verifier) -> str:
    again = f"; {verifier.again} of them were sent again, no larger" if verifier.again else ""
    return f"verify: all {verifier.compared} orders agree with the recorded ones{again}"


def _refuse_report(report: Path, paths: Sequence[Path]) -> None:
    """Refuses before the play what would only fail, or destroy a recording, after it."""
    if report.is_dir() or not report.absolute().parent.is_dir():
        raise ConfigError(f"--report {report}: name a file in a folder that exists")
    if report.resolve() in {path.resolve() for path in paths}:
        raise ConfigError(f"--report {report} would replace a recording; name another file")


def _tick_session(
    options: ReplayOptions,
    paths: Sequence[Path],
    emit: Callable[[Line], None],
    note: Callable[[str], None],
    picture: Report | None,
) -> tuple[Session, Callable[[], None]]:
    if len(paths) > 1:
        raise ConfigError("a file of plain ticks is replayed alone; give one file")
    symbols = {asked.symbol for asked in options.positions}
    symbol = options.symbol or (next(iter(symbols)) if len(symbols) == 1 else None)
    if symbol is None:
        raise ConfigError("a file of plain ticks needs --symbol, or the --position of one symbol")
    if options.verify:
        raise ConfigError("--verify compares recorded orders; a file of plain ticks has none")
    ticks = read_tick_file(paths[0])
    # Numpy is needed here alone; and like reading the file, loading it is no part of the time that a play takes.
    from reactor.replay import columns  # noqa: PLC0415

    if not ticks.has_times:
        note(f"{paths[0].name} has no column of times that is known: ticks count as 1 ms apart")
    # Its price is the trigger price, whatever source the plan would watch.
    session = Session(options, header=None, trigger="last", emit=emit, note=note)

    def play() -> None:
        for damage in ticks.damage:
            session.pump.damaged(damage.line, damage.reason)
        session.pump.skipped += ticks.damage_count - len(ticks.damage)
        if options.engine == "walk" or options.speed > 0:
            columns.walk(session, symbol, ticks, speed=options.speed)
        else:
            search = columns.Search(ticks)
            refusal = search.refusal()
            if refusal is None:
                columns.jump(session, symbol, search)
            else:
                note(f"walking tick by tick: {refusal}")
                columns.walk(session, symbol, ticks)
        if picture is not None:
            _tell_prices(picture, symbol, ticks)

    return session, play


def _tell_prices(picture: Report, symbol: str, ticks: TickFile) -> None:
    """The extremes of short spans: what the picture would keep of every tick."""
    count = len(ticks.prices)
    span = max(1, count // PICTURE_POINTS)
    for start in range(0, count, span):
        prices = ticks.prices[start : start + span]
        for place in sorted({int(prices.argmin()), int(prices.argmax())}):
            t_ns, price = int(ticks.t_ns[start + place]), float(prices[place])
            if t_ns >= 0 and 0 < price < inf:
                picture.price(symbol, t_ns, price)


def _watch_prices(session: Session, picture: Report) -> None:
    """Tells the picture every accepted trigger-price tick, by standing before the engine's calls."""
    engine = session.engine

    def watched(
        source: Source, call: Callable[..., Sequence[Decision]]
    ) -> Callable[..., Sequence[Decision]]:
        def tick(symbol: str, *args: object) -> Sequence[Decision]:
            decisions = call(symbol, *args)
            market = engine.market(source, symbol)
            if market is not None and market.t_recv_ns == args[-1]:
                picture.price(symbol, market.t_recv_ns, _shown_price(market))
            return decisions

        return tick

    session.pump.calls = (
        watched("last", engine.on_last),
        watched("last", engine.on_trade),
        watched("mark", engine.on_mark),
        watched("book", engine.on_book),
    )


def _shown_price(market: Market) -> float:
    if market.source == "book":
        return (float(market.text) + float(market.ask_text)) / 2
    return float(market.text)
