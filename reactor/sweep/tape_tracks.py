"""Tapes into tracks: one pass of the pump whose engine only writes down what it is told.

What a replay feeds its engine with does not depend on any plan but for the price source. So the tape is decoded
once, and the engine's calls are kept: ticks as columns, the few others as they are.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reactor.binance.redaction import line as one_line
from reactor.core.decisions import Decision, Side
from reactor.core.engine import Engine
from reactor.core.exact import double
from reactor.core.ladder import Filters
from reactor.core.market import Source, not_a_price
from reactor.replay.progress import progress_shown
from reactor.replay.session import NOTE_CHARS_MAX
from reactor.replay.tick_file import TickFile
from reactor.replay.walk import open_tapes
from reactor.shell.pump import Pump
from reactor.shell.symbol_facts import SymbolFacts
from reactor.shell.tape_format import TapeHeader
from reactor.sweep.track import Happening, Kind, Track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORT_TEXT = 17
"""A price's text below this length has at most 15 digits, which a double keeps."""

TRADES = {"last": 0, "trade": 1}


def tape_tracks(
    paths: Sequence[Path],
    *,
    source: Source,
    only: Sequence[str],
    note: Callable[[str], None],
    show_progress: bool = False,
) -> tuple[list[Track], TapeHeader]:
    """The tracks of tapes that are one session, in this order; one for each symbol with prices of the source.

    Args:
        paths: the tapes.
        source: the price source that plans watch.
        only: the symbols that are wanted; all of them where it is empty.
        note: takes what is to be said on standard error: at most one line for each kind of it.
        show_progress: whether to draw a bar.

    Returns:
        The tracks by symbol, and the first tape's header.

    Raises:
        TapeError: a file is no tape.
    """
    tapes = open_tapes(paths)
    engine = _CallsKept(source, frozenset(only))
    said: dict[str, int] = {}

    def say(kind: str, message: str) -> None:
        said[kind] = said.get(kind, 0) + 1
        if said[kind] == 1:
            note(one_line(f"{paths[0].name}: {message}", chars_max=NOTE_CHARS_MAX))

    pump = Pump(engine, note=say, follow_account=False)
    pump.facts = _FactsKept(engine)
    pump.filters = _FiltersKept(engine)
    lines_read = bytes_before = 0
    with progress_shown(paths, enabled=show_progress) as progress:
        for tape in tapes:
            if len(tapes) > 1:
                pump.place = f"{tape.path.name} line"
            for first, lines in tape.batches():
                pump.feed(first, lines, lambda _: None)
                lines_read += len(lines)
                if progress is not None:
                    progress(bytes_before + tape.bytes_read, lines_read, pump.now_ns)
            bytes_before += tape.bytes_read
            for damage in tape.damage:
                pump.damaged(damage.line, damage.reason)
            pump.skipped += tape.damage_count - len(tape.damage)
    for kind, count in said.items():
        if count > 1:
            note(f"{paths[0].name}: … and {count - 1} more of this kind ({kind})")
    name = "+".join(path.name for path in paths)
    found = [columns.track(name, pump.now_ns) for columns in engine.symbols.values()]
    return sorted((one for one in found if len(one)), key=lambda one: one.symbol), tapes[0].header


class _Columns:
    """What was told of one symbol so far."""

    def __init__(self, symbol: str, source: Source) -> None:
        self.symbol, self.source = symbol, source
        self.t_ns, self.t_event_ms, self.ids = array("q"), array("q"), array("q")
        self.prices, self.asks = array("d"), array("d")
        self.is_trade = array("b")
        self.long_texts: dict[int, str] = {}
        self.happenings: list[Happening] = []

    def tick(self, price: str, tick_id: int, t_event_ms: int, t_ns: int, ask: str = "") -> None:
        try:
            value = double(price)
            if ask:
                self.asks.append(double(ask))
        except ValueError:
            raise not_a_price(f"{price} / {ask}" if ask else price) from None
        if not (_is_exact(price) and _is_exact(ask)):
            self.long_texts[len(self.prices)] = f"{price} {ask}".strip()
        self.prices.append(value)
        self.ids.append(tick_id)
        self.t_event_ms.append(t_event_ms)
        self.t_ns.append(t_ns)

    def happened(self, call: str, *args: Any, **keywords: Any) -> None:
        self.happenings.append(Happening(len(self.prices), call, args, keywords))

    def track(self, name: str, end_ns: int) -> Track:
        import numpy as np  # noqa: PLC0415 - only where columns are read

        def column(values: "array[Any]", dtype: Any) -> "NDArray[Any]":
            return np.frombuffer(values, dtype=dtype) if len(values) else np.empty(0, dtype)

        kinds = set(self.is_trade)
        kind: Kind = "last"
        if self.source != "last":
            kind = self.source
        elif len(kinds) > 1:
            kind = "mixed"
        elif kinds == {TRADES["trade"]}:
            kind = "trade"
        ticks = TickFile(
            column(self.t_ns, np.int64),
            column(self.prices, np.float64),
            exact=not self.long_texts,
            t_event_ms=column(self.t_event_ms, np.int64),
            ids=column(self.ids, np.int64),
        )
        return Track(
            name=name,
            symbol=self.symbol,
            source=self.source,
            kind=kind,
            ticks=ticks,
            asks=column(self.asks, np.float64) if self.source == "book" else None,
            is_trade=column(self.is_trade, np.bool_) if kind == "mixed" else None,
            texts=self._texts(),
            happenings=tuple(self.happenings),
            end_ns=end_ns,
        )

    def _texts(self) -> "NDArray[np.bytes_] | None":
        import numpy as np  # noqa: PLC0415 - only where columns are read

        if not self.long_texts:
            return None
        pairs: Iterable[tuple[float, ...]]
        pairs = (
            zip(self.prices, self.asks, strict=True) if self.asks else zip(self.prices, strict=True)
        )
        texts = [
            self.long_texts.get(row) or " ".join(map(repr, pair)) for row, pair in enumerate(pairs)
        ]
        return np.array(texts, dtype=np.bytes_)


def _is_exact(text: str) -> bool:
    return len(text) < SHORT_TEXT or sum(map(str.isdigit, text)) < SHORT_TEXT - 1


class _CallsKept(Engine):
    """An engine that decides nothing: it writes down what it is told of one price source."""

    def __init__(self, source: Source, only: frozenset[str]) -> None:
        super().__init__(plan_for=_no_plan)
        self._source: Source = source
        self._only = only
        self.symbols: dict[str, _Columns] = {}

    def of(self, symbol: str) -> _Columns | None:
        """What is kept of a symbol; None where it is not wanted."""
        if self._only and symbol not in self._only:
            return None
        if symbol not in self.symbols:
            self.symbols[symbol] = _Columns(symbol, self._source)
        return self.symbols[symbol]

    def _trade(
        self, kind: str, symbol: str, price: str, trade_id: int, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        columns = self.of(symbol) if self._source == "last" else None
        if columns is not None:
            columns.tick(price, trade_id, t_event_ms, t_recv_ns)
            columns.is_trade.append(TRADES[kind])
        return ()

    def on_last(
        self, symbol: str, price: str, trade_id: int, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        return self._trade("last", symbol, price, trade_id, t_event_ms, t_recv_ns)

    def on_trade(
        self, symbol: str, price: str, trade_id: int, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        return self._trade("trade", symbol, price, trade_id, t_event_ms, t_recv_ns)

    def on_mark(
        self, symbol: str, price: str, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        columns = self.of(symbol) if self._source == "mark" else None
        if columns is not None:
            columns.tick(price, t_event_ms, t_event_ms, t_recv_ns)
        return ()

    def on_book(
        self, symbol: str, bid: str, ask: str, update_id: int, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        columns = self.of(symbol) if self._source == "book" else None
        if columns is not None:
            columns.tick(bid, update_id, t_event_ms, t_recv_ns, ask)
        return ()

    def on_polled(
        self,
        source: Source,
        symbol: str,
        price: str,
        t_event_ms: int,
        t_recv_ns: int,
        *,
        ask: str = "",
    ) -> Sequence[Decision]:
        if source == self._source:
            args = (source, symbol, price, t_event_ms, t_recv_ns)
            self._of_symbol(symbol, "on_polled", *args, ask=ask)
        return ()

    def on_history(
        self, symbol: str, source: Source, interval_ms: int, rows: Any, *, t_ns: int
    ) -> Sequence[Decision]:
        if source == self._source:
            args = (symbol, source, interval_ms, tuple(rows))
            self._of_symbol(symbol, "on_history", *args, t_ns=t_ns)
        return ()

    def on_interruption(self) -> None:
        for columns in self.symbols.values():
            columns.happened("on_interruption")

    def on_blind(self, symbol: str, source: Source) -> None:
        if source == self._source:
            self._of_symbol(symbol, "on_blind", symbol, source)

    def on_gap(
        self, symbol: str, source: Source, spans: Any, window: Any, *, t_ns: int
    ) -> Sequence[Decision]:
        if source == self._source:
            self._of_symbol(symbol, "on_gap", symbol, source, tuple(spans), window, t_ns=t_ns)
        return ()

    def close(
        self, symbol: str, side: Side, *, t_ns: int, by_stop: bool = False
    ) -> Sequence[Decision]:
        self._of_symbol(symbol, "close", symbol, side, t_ns=t_ns, by_stop=by_stop)
        return ()

    def set_stop(self, symbol: str, side: Side, price: Any, *, t_ns: int) -> Sequence[Decision]:
        self._of_symbol(symbol, "set_stop", symbol, side, price, t_ns=t_ns)
        return ()

    def pause(self, symbol: str, side: Side, *, paused: bool) -> None:
        self._of_symbol(symbol, "pause", symbol, side, paused=paused)

    def on_policy(self, external: Any, *, t_ns: int) -> Sequence[Decision]:
        return ()

    def _of_symbol(self, symbol: str, call: str, *args: Any, **keywords: Any) -> None:
        columns = self.of(symbol)
        if columns is not None:
            columns.happened(call, *args, **keywords)


def _no_plan(symbol: str, side: Side) -> Any:
    raise AssertionError((symbol, side))  # it keeps calls, and never asks for a plan


class _FactsKept(SymbolFacts):
    def __init__(self, engine: _CallsKept) -> None:
        super().__init__(engine.facts)
        self._engine = engine

    def _put(self, symbol: str, name: str, value: Any) -> None:
        columns = self._engine.of(symbol)
        if columns is not None:
            columns.happened("fact", name, value)


class _FiltersKept(dict[str, Filters]):
    def __init__(self, engine: _CallsKept) -> None:
        super().__init__()
        self._engine = engine

    def __setitem__(self, symbol: str, filters: Filters) -> None:
        super().__setitem__(symbol, filters)
        columns = self._engine.of(symbol)
        if columns is not None:
            columns.happened("filters", filters)
