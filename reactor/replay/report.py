"""The picture of a session: collects what a replay says, and writes it as one HTML file.

The player tells a `Report` every accepted trigger-price tick and every line that it prints; `write` makes
a file of them that shows, per symbol, the price with every level over time and every exit. The file
needs nothing else: no network, no folder beside it. Memory stays flat however long the session is, see
`report_thinning`; the numbers shown are the texts of the lines, never floats made of them.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from reactor.core.exact import ZERO, add, text
from reactor.errors import BadInputError
from reactor.replay.report_page import page
from reactor.replay.report_rows import (
    Epoch,
    Shade,
    compact_prices,
    epoch_row,
    shade_row,
    take_targets,
    utc_text,
)
from reactor.replay.report_thinning import WIDTH_NS_MAX, PriceSeries, StopSteps

SYMBOLS_FULLY_DRAWN: Final = 3
"""Price points of a whole report, in `points_max`: with more symbols each has fewer. 60 000 points
make about 700 kB of HTML."""

PRICE_POINTS_MIN: Final = 500
"""What a symbol keeps however many there are: a point every second pixel of a small chart."""

STOP_MOVES_SHARE: Final = 4
"""One stop move is kept for so many price points: more steps than a screen has pixel columns."""

DECISIONS_MAX: Final = 10_000
"""Rows of the table. Whoever has more of them reads the JSON lines; the page says what it left out."""

SHADES_MAX: Final = 5_000
"""Background bands: 4 h regimes of ten symbols over two months are 3 600."""

NOTE_CHARS_MAX: Final = 500
"""One row of the table. A note quotes what was found, and that may be anything."""


class Report:
    """One session's picture.

    Args:
        title: the heading, for example the tape's name.
        points_max: price points that one symbol keeps at most, from 16 on.
    """

    def __init__(self, *, title: str, points_max: int = 20_000) -> None:
        self._title = title
        self._points_max = points_max
        self._prices: dict[str, PriceSeries] = {}
        self._epochs: list[Epoch] = []
        self._open: dict[tuple[str, str], Epoch] = {}
        self._decisions: list[dict[str, Any]] = []
        self._early_notes: list[dict[str, Any]] = []
        self._shades: dict[str, list[Shade]] = {}
        self._shades_count = 0
        # Regimes that still last: since when, what the legend says, and the band's colour.
        self._regimes: dict[str, tuple[int, str, str]] = {}
        self._left_out = 0
        self._exits = 0
        self._realized: Decimal | None = None
        self._r_multiples: list[Decimal] = []
        self._summary: Mapping[str, object] = {}
        self._stop_moves = 0
        self._steps_kept = 0
        self._steps_limit = max(points_max // STOP_MOVES_SHARE, 16)
        self._step_width_ns = 1_000
        self._last_ns: int | None = None

    def price(self, symbol: str, t_ns: int, price: float) -> None:
        """Take one accepted trigger-price tick.

        Args:
            symbol: the contract's name.
            t_ns: receive time, nanoseconds since the Unix epoch.
            price: a positive finite number.
        """
        series = self._prices.get(symbol)
        if series is None:
            series = self._start_series(symbol)
        series.add(t_ns, price)

    def line(self, line: Mapping[str, Any]) -> None:
        """Take one line of a replay's output, or a note.

        Args:
            line: as printed with `--json` (`opened`, `stop`, `exit`, `closed`, `summary`), or
                `{"type":"note","t":…,"symbol":…,"text":…}` for what a reader should know besides: a
                gap, a level that was held back, damage. The symbol of a note may be None. Any other
                type has no picture and is passed over.
        """
        match line.get("type"):
            case "stop":
                self._on_stop(line)
            case "exit":
                self._on_exit(line)
            case "opened":
                self._on_opened(line)
            case "closed":
                self._on_closed(line)
            case "note":
                self._on_note(line)
            case "policy":
                self._on_policy(line)
            case "regime":
                self._on_regime(line)
            case "summary":
                self._summary = dict(line)

    def shade(self, symbol: str, t0_ns: int, t1_ns: int, label: str, colour_key: str) -> None:
        """Lay a band of time behind a symbol's chart, with a row in its legend.

        Args:
            symbol: the contract's name.
            t0_ns: where it starts, nanoseconds since the Unix epoch.
            t1_ns: where it ends.
            label: what the legend says, for example a regime.
            colour_key: bands of the same key have the same colour. `BULL`, `BEAR`, `CHOP`, `HIGH_VOL`
                and `NORMAL` have one of their own, others take the next free one.
        """
        bands = self._shades.setdefault(symbol, [])
        before = bands[-1] if bands else None
        if before is not None and (before.end_ns, before.label, before.colour_key) == (
            t0_ns,
            label,
            colour_key,
        ):
            before.end_ns = t1_ns
        elif self._shades_count < SHADES_MAX:
            self._shades_count += 1
            bands.append(Shade(start_ns=t0_ns, end_ns=t1_ns, label=label, colour_key=colour_key))
        else:
            self._left_out += 1

    def write(self, path: Path) -> None:
        """Write the picture.

        Args:
            path: the HTML file; one that exists is replaced.

        Raises:
            BadInputError: the file cannot be written there.
        """
        html = page(title=self._title, session=self._session())
        try:
            path.write_bytes(html)
        except OSError as error:
            raise BadInputError(
                f"cannot write the report {path}: {error.strerror or error}; "
                "name a file in a folder that exists and can be written to"
            ) from error

    # What comes in --------------------------------------------------------------------------------

    def _start_series(self, symbol: str) -> PriceSeries:
        share = self._points_max * SYMBOLS_FULLY_DRAWN // (len(self._prices) + 1)
        points_max = min(self._points_max, max(share, PRICE_POINTS_MIN))
        for other in self._prices.values():
            other.limit_to(points_max)
        series = self._prices[symbol] = PriceSeries(points_max=points_max)
        return series

    def _on_opened(self, line: Mapping[str, Any]) -> None:
        epoch = self._begin(line)
        if epoch is None:
            return
        epoch.plan, epoch.atr = line.get("plan"), line.get("atr")
        epoch.quantity = epoch.remaining = line.get("quantity")
        epoch.entry = line.get("entry")
        epoch.targets = [(price, fraction) for price, fraction in line.get("targets") or ()]
        epoch.taken_ns = [None] * len(epoch.targets)
        if line.get("stop") is not None:
            self._step(epoch, line["t"], line["stop"], "stop_loss")
        self._decide(
            line, epoch, price=epoch.entry, quantity=epoch.quantity, remaining=epoch.remaining
        )

    def _on_stop(self, line: Mapping[str, Any]) -> None:
        self._stop_moves += 1
        epoch = self._epoch_of(line)
        if epoch is None:
            return
        kinds = epoch.stop_steps.kinds
        if not kinds or kinds[-1] != line["kind"]:
            self._decide(line, epoch, remaining=epoch.remaining, reasons=[line["kind"]])
        self._step(epoch, line["t"], line["stop"], line["kind"])

    def _on_exit(self, line: Mapping[str, Any]) -> None:
        self._exits += 1
        epoch = self._epoch_of(line)
        if epoch is None:
            return
        epoch.exits += 1
        epoch.remaining = line.get("remaining")
        if not len(epoch.stop_steps) and line.get("stop") is not None:
            self._step(epoch, line["t"], line["stop"], "stop_loss")
        epoch.stop_steps.pin()
        if "take_profit" in line["reasons"]:
            take_targets(epoch, Decimal(line["price"]), line["t"])
        self._decide(
            line,
            epoch,
            quantity=line.get("quantity"),
            remaining=epoch.remaining,
            reasons=list(line["reasons"]),
        )

    def _on_closed(self, line: Mapping[str, Any]) -> None:
        realized, r_multiple = line.get("realized"), line.get("r_multiple")
        if realized is not None:
            self._realized = add(self._realized or ZERO, Decimal(realized))
        if r_multiple is not None:
            self._r_multiples.append(Decimal(r_multiple))
        epoch = self._epoch_of(line)
        if epoch is None:
            return
        epoch.stop_steps.pin()
        epoch.closed_ns = line["t"]
        epoch.reason, epoch.realized, epoch.r_multiple = line.get("reason"), realized, r_multiple
        reasons = [epoch.reason] if epoch.reason else []
        self._decide(line, epoch, remaining=epoch.remaining, reasons=reasons)
        self._open.pop((epoch.symbol, epoch.side), None)

    def _on_note(self, line: Mapping[str, Any]) -> None:
        text_of_note = str(line.get("text", ""))[:NOTE_CHARS_MAX]
        symbol = line.get("symbol") or None
        if line.get("t"):
            self._decide(line, None, symbol=symbol, text=text_of_note)
        else:
            # Said before the first line was read: it stands at the session's start, and moves it not.
            self._early_notes.append({"type": "note", "symbol": symbol, "text": text_of_note})

    def _on_policy(self, line: Mapping[str, Any]) -> None:
        said = f"{line['side']}: policy {line['action']} {line['plan']} ({line['why']})"
        note = {"type": "note", "t": line["t"], "tick": line["tick"]}
        self._decide(note, None, symbol=line["symbol"], text=said[:NOTE_CHARS_MAX])

    def _on_regime(self, line: Mapping[str, Any]) -> None:
        """A regime's band begins; the one before it ends here."""
        self._end_regime(line["symbol"], line["t"])
        label = f"{line['regime']}, volatility {line['volatility']}"
        self._regimes[line["symbol"]] = (line["t"], label, line["regime"])

    def _end_regime(self, symbol: str, t_ns: int) -> None:
        begun = self._regimes.pop(symbol, None)
        if begun is not None and begun[2] != "UNKNOWN":
            self.shade(symbol, begun[0], t_ns, begun[1], begun[2])

    def _begin(self, line: Mapping[str, Any]) -> Epoch | None:
        if len(self._decisions) >= DECISIONS_MAX:
            self._open.pop((line["symbol"], line["side"]), None)
            self._left_out += 1
            return None
        epoch = Epoch(
            index=len(self._epochs),
            symbol=line["symbol"],
            side=line["side"],
            opened_ns=line["t"],
            stop_steps=StopSteps(),
        )
        self._epochs.append(epoch)
        self._open[epoch.symbol, epoch.side] = epoch
        return epoch

    def _epoch_of(self, line: Mapping[str, Any]) -> Epoch | None:
        """The epoch of a line; one that was open before the session began starts here."""
        return self._open.get((line["symbol"], line["side"])) or self._begin(line)

    def _step(self, epoch: Epoch, t_ns: int, stop: str, kind: str) -> None:
        epoch.stop_steps.add(t_ns, stop, kind)
        self._see(t_ns)
        self._steps_kept += 1
        if self._steps_kept <= self._steps_limit:
            return
        bound = self._steps_limit * 3 // 4
        self._thin_steps()
        while self._steps_kept > bound and self._step_width_ns < WIDTH_NS_MAX:
            self._step_width_ns *= 2
            self._thin_steps()
        if self._steps_kept > bound:
            # What is pinned cannot be thinned; without this every further move would try again.
            self._steps_limit = 2 * self._steps_kept

    def _thin_steps(self) -> None:
        for epoch in self._epochs:
            epoch.stop_steps.thin(self._step_width_ns)
        self._steps_kept = sum(len(epoch.stop_steps) for epoch in self._epochs)

    def _decide(self, line: Mapping[str, Any], epoch: Epoch | None, **shown: Any) -> None:
        self._see(line["t"])
        if len(self._decisions) >= DECISIONS_MAX:
            self._left_out += 1
            return
        row = {key: line.get(key) for key in ("type", "symbol", "side", "tick", "price", "stop")}
        row |= {"t": line["t"], "utc": utc_text(line["t"])}
        row |= shown
        if epoch is not None:
            row["epoch"] = epoch.index
        self._decisions.append(row)

    def _see(self, t_ns: int) -> None:
        if self._last_ns is None or t_ns > self._last_ns:
            self._last_ns = t_ns

    # What goes out --------------------------------------------------------------------------------

    def _session(self) -> dict[str, Any]:
        """Everything that the page shows. Times are whole microseconds since `base_s`."""
        series = {symbol: self._drawn_prices(symbol) for symbol in self._symbols()}
        starts = [times[0] for times, _ in series.values() if times]
        ends = [times[-1] for times, _ in series.values() if times]
        starts += [row["t"] for row in self._decisions] + [e.opened_ns for e in self._epochs]
        ends += [] if self._last_ns is None else [self._last_ns]
        start_ns, end_ns = min(starts, default=0), max(ends, default=0)
        for symbol in tuple(self._regimes):
            self._end_regime(symbol, end_ns)
        early = [note | {"t": start_ns, "utc": "at the start"} for note in self._early_notes]
        base_s = start_ns // 1_000_000_000
        base_us = base_s * 1_000_000
        return {
            "base_s": base_s,
            "start": start_ns // 1000 - base_us,
            "end": end_ns // 1000 - base_us,
            "span": [utc_text(start_ns), utc_text(end_ns)] if starts else [],
            "plans": sorted({epoch.plan for epoch in self._epochs if epoch.plan}),
            "totals": self._totals(),
            "symbols": [
                {
                    "symbol": symbol,
                    "prices": compact_prices(times, prices, base_us),
                    "shades": [shade_row(shade, base_us) for shade in self._shades.get(symbol, ())],
                }
                for symbol, (times, prices) in series.items()
            ],
            "epochs": [epoch_row(epoch, base_us) for epoch in self._epochs],
            "decisions": [
                {key: value for key, value in row.items() if value is not None}
                | {"t": row["t"] // 1000 - base_us}
                for row in early + self._decisions
            ],
        }

    def _symbols(self) -> list[str]:
        """Those with a position first, in the order of their appearance, then the others."""
        names = [epoch.symbol for epoch in self._epochs]
        names += [*self._prices, *self._shades]
        return list(dict.fromkeys(names))

    def _drawn_prices(self, symbol: str) -> tuple[list[int], list[float]]:
        """The thinned prices, and the tick of every exit: the line runs through each marker."""
        series = self._prices.get(symbol)
        times, prices = series.points() if series else ([], [])
        points = list(zip(times, prices, strict=True))
        known = set(points)
        exits = [
            point
            for row in self._decisions
            if row["type"] == "exit" and row["symbol"] == symbol
            if (point := (row["t"], float(row["price"]))) not in known
        ]
        if exits:
            points = sorted(points + exits, key=lambda point: point[0])
        return [t_ns for t_ns, _ in points], [price for _, price in points]

    def _totals(self) -> dict[str, Any]:
        multiples = self._r_multiples
        total = ZERO
        for multiple in multiples:
            total = add(total, multiple)
        closed = [epoch for epoch in self._epochs if epoch.closed_ns is not None]
        gains = [Decimal(epoch.realized) for epoch in closed if epoch.realized is not None]
        return {
            "exits": self._exits,
            "stop_moves": self._stop_moves,
            "stop_moves_drawn": sum(
                max(len(epoch.stop_steps) - (epoch.entry is not None), 0) for epoch in self._epochs
            ),
            "left_out": self._left_out,
            "realized": None if self._realized is None else text(self._realized),
            "r_total": text(total) if multiples else None,
            "r_best": text(max(multiples)) if multiples else None,
            "r_worst": text(min(multiples)) if multiples else None,
            "closed": len(closed),
            "open": len(self._epochs) - len(closed),
            "won": sum(gain > 0 for gain in gains),
            "lost": sum(gain < 0 for gain in gains),
            "ticks": self._summary.get("ticks"),
            "skipped": self._summary.get("skipped"),
            "seconds": self._summary.get("seconds"),
        }
