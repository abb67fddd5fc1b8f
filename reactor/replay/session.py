"""One replay's engine, pump and notes: everything between options and lines, without any output."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from reactor.binance.orders import market_exit_orders
from reactor.binance.redaction import line as one_line
from reactor.config import Config, SymbolConfig, config_from_tables, load_config
from reactor.core.decisions import (
    Alarm,
    Closed,
    Decision,
    Exit,
    HeldBack,
    Opened,
    OrdersCancelled,
    Side,
    StopMoved,
)
from reactor.core.engine import Engine
from reactor.core.exact import ZERO, text
from reactor.core.ladder import Filters
from reactor.core.market import Market
from reactor.core.orders import Fills
from reactor.core.plan import Plan
from reactor.core.sizing import Inputs
from reactor.replay.lines import Line, line_of, stop_line
from reactor.replay.options import ReplayOptions, guard_facts, ladder_facts
from reactor.replay.verify import Verifier
from reactor.shell.assembly import live_pump, order_ids, start_state
from reactor.shell.plan_choice import PlanChoice
from reactor.shell.pump import Pump
from reactor.shell.recorded import slice_id
from reactor.shell.tape_format import TapeHeader

NOTES_SHOWN_MAX = 1000
"""How many notes of one kind are shown; the rest is counted, and the count is said at the end."""

NOTE_CHARS_MAX = 400
"""One note is one line. What it quotes came from outside and may be anything."""

INSTANCE = "replay"


class Session:
    """A replay in progress.

    Attributes:
        engine: the engine. `pump`: what feeds it from tape lines.
        exits: how many exits were decided.
        opens_at_ns: when `expect_positions` is to be called; None once it has been.
    """

    def __init__(
        self,
        options: ReplayOptions,
        *,
        header: TapeHeader | None,
        trigger: str | None = None,
        emit: Callable[[Line], None],
        note: Callable[[str], None],
    ) -> None:
        """Builds a session.

        Args:
            options: what was asked for.
            header: the first tape's header, whose plans and configuration count where none is given.
            trigger: the price source that the input has, where it has only one (tick files).
            emit: takes each output line.
            note: takes each thing to be said on standard error.
        """
        self._options = options
        self._emit = emit
        self._show = note
        self._notes: Counter[str] = Counter()
        self._said: set[str] = set()
        self._header = header
        self._config = configuration(options, header)
        self._plans = PlanChoice(
            self._config,
            override=options.plan,
            recorded=None if header is None else header.plans,
            trigger=trigger or options.trigger,
        )
        self.exits = 0
        self._opened: dict[tuple[str, Side], None] = {}
        simulated = bool(options.positions)
        instance = (header and header.instance) or INSTANCE
        self.steering = self._plans.steering()
        if header is not None and header.session is not None and not simulated:
            self.pump = live_pump(
                self._config,
                header.session,
                plan_for=self.plan_for,
                filters_for=self.filters_for,
                fixed_atr=options.atrs,
                instance=instance,
                start=start_state(header.journal),
                note=self.note,
                inputs_for=self.inputs_for,
                steering=self.steering,
            )
        else:
            engine = Engine(
                plan_for=self.plan_for,
                filters_for=self.filters_for,
                fixed_atr=options.atrs,
                fills=options.fills if simulated else Fills.REPORTED,
                order_ids=order_ids(instance),
                inputs_for=self.inputs_for,
                steering=self.steering,
            )
            self.pump = Pump(engine, note=self.note, follow_account=not simulated)
        self.engine = self.pump.engine
        self.verifier: Verifier | None = None
        if options.verify:
            session = None if header is None else header.session
            sends = session is None or session.mode == "live"
            self.verifier = Verifier(self._orders_of, sends=sends)
            self.pump.on_sent = self.verifier.recorded
        self._plans.look_up(asked.symbol for asked in options.positions)
        self.opens_at_ns: int | None = options.open_at_ns
        if options.open_at_ns is None:
            self.expect_positions()

    def expect_positions(self) -> None:
        """From here on the first trigger-price tick of its symbol opens what was asked for."""
        self.opens_at_ns = None
        for asked in self._options.positions:
            inputs = self._options.inputs.get(asked.symbol, {})
            margin, liquidation = guard_facts(inputs, asked.quantity, asked.entry)
            self.engine.expect(
                asked.symbol,
                asked.side,
                asked.quantity,
                asked.entry,
                margin=margin,
                liquidation_price=liquidation,
            )

    def plan_for(self, symbol: str, side: Side) -> Plan:
        """The plan of a position: the option's, the configuration's, the tape's, the default."""
        return self._plans.plan_for(symbol, side)

    def filters_for(self, symbol: str) -> Filters:
        """What a symbol rounds to: the tape's exchangeInfo, else the options, else the configuration."""
        told = self.pump.filters.get(symbol)
        if told is not None:
            return told
        config = self._config.symbols.get(symbol, SymbolConfig())
        options = self._options
        return Filters(
            tick=options.ticks.get(symbol) or config.tick,
            step=options.steps.get(symbol) or config.step,
            min_quantity=options.min_quantities.get(symbol, config.min_qty or ZERO),
        )

    def inputs_for(self, symbol: str, _side: Side) -> Inputs:
        """What the options say for ladder rules."""
        return ladder_facts(self._options.inputs.get(symbol, {}))

    def take(self, decisions: Sequence[Decision]) -> None:
        """Turns decisions into output lines and notes."""
        for decision in decisions:
            if isinstance(decision, StopMoved):
                # Most decisions are these, and nothing is to be said of them.
                self._emit(stop_line(decision))
                continue
            self._note_decision(decision)
            line = line_of(decision)
            if line is not None:
                self._emit(line)

    def _note_decision(self, decision: Decision) -> None:
        """Counts a decision, and says in words what no line says."""
        if isinstance(decision, Opened):
            self._opened[decision.symbol, decision.side] = None
            self._say_sizing(decision)
            self._say_doubts()
        elif isinstance(decision, Exit):
            self.exits += 1
            if self.verifier is not None:
                self.verifier.own(decision)
        elif isinstance(decision, Closed | OrdersCancelled):
            if self.verifier is not None:
                self.verifier.ended(decision)
        elif isinstance(decision, Alarm):
            self.note("alarm", f"{decision.symbol}: {decision.what}")
        elif isinstance(decision, HeldBack):
            self.note(
                "held",
                f"{decision.symbol} {decision.side}: a {decision.what} at"
                f" {text(decision.level)} is held back until the price is beyond it",
            )

    def _say_sizing(self, opened: Opened) -> None:
        """Which rules sized the ladder, and which were left out for want of a fact."""
        machine = self.engine.positions.get((opened.symbol, opened.side))
        if machine is None or machine.epoch != opened.epoch or not machine.ladder.sizing.verdicts:
            return
        verdicts = machine.ladder.sizing.verdicts
        applied = [f"{one.rule} ({one.effect})" for one in verdicts if one.applied]
        unknown = sorted({one.input for one in verdicts if not one.known})
        said = (
            f"{opened.symbol} {opened.side}: ladder rules applied: {', '.join(applied) or 'none'}"
        )
        said += f"; not known: {', '.join(unknown)}" if unknown else ""
        self.note("ladder", said)

    def _orders_of(self, decision: Exit) -> tuple[dict[str, str], ...]:
        """The market orders of an exit, as the gateway would build them now."""
        return market_exit_orders(
            symbol=decision.symbol,
            side=decision.side,
            hedge=self.pump.account.hedge,
            quantity=decision.quantity,
            filters=self.pump.contracts.get(decision.symbol),
            client_ids=lambda number: slice_id(decision.order_id, number),
        )

    def _say_doubts(self) -> None:
        """Modes that no plan has; and another plan on a recorded session decides exits that nobody filled then."""
        for doubt in self._plans.doubts():
            self.note_once(doubt)
        asked, recorded = self._options.plan, self._plans.recorded
        if self._options.positions or asked is None or not recorded:
            return
        if all(asked != self._plans.named(name) for name in recorded):
            self.note_once(
                f"{asked.name} is none of the recording's plans: positions and fills stay those of the"
                " recording; --position simulates them"
            )

    def note(self, kind: str, message: str) -> None:
        """Says something in one line; floods of one kind are cut short and counted."""
        self._notes[kind] += 1
        if self._notes[kind] <= NOTES_SHOWN_MAX:
            self._show(one_line(message, chars_max=NOTE_CHARS_MAX))

    def note_once(self, message: str) -> None:
        """Says something that is worth saying one time, however often it is met."""
        if message not in self._said:
            self._said.add(message)
            self._show(message)

    def finish(self, *, seconds: float) -> Line:
        """The summary line; says what was left unsaid."""
        if self.opens_at_ns is not None and self._options.positions:
            self._show(
                "--open-at: the recording ends before it, so no position was opened; it lasts until"
                f" {self.pump.now_ns} ns"
            )
        self.take(self.pump.finish())
        for kind, count in self._notes.items():
            if count > NOTES_SHOWN_MAX:
                self._show(f"… and {count - NOTES_SHOWN_MAX} more of this kind ({kind})")
        markets = list(self.engine.markets())
        silent = self._never_ticked(markets)
        self._say_unused(markets)
        ticks = sum(market.ticks for market in markets)
        line: Line = {
            "type": "summary",
            "ticks": ticks,
            "symbols": len({market.symbol for market in markets if market.ticks}),
            "skipped": self.pump.skipped,
            "exits": self.exits,
            "duplicates": sum(market.duplicates for market in markets),
            "suspects": sum(market.suspects_dropped for market in markets),
            "never_ticked": silent,
            "seconds": round(seconds, 6),
            "ticks_per_second": round(ticks / seconds) if seconds > 0 else 0,
        }
        return line

    def _never_ticked(self, markets: Sequence[Market]) -> list[str]:
        """The positions whose trigger source never ticked, as `SYMBOL:SIDE`; says so."""
        waiting = {(market.symbol, one.side) for market in markets for one in market.awaited}
        ticked = {(market.symbol, market.source) for market in markets if market.ticks}
        silent = []
        for symbol, side in (*sorted(waiting), *self._opened):
            source = self.plan_for(symbol, side).trigger
            if (symbol, source) not in ticked:
                silent.append(f"{symbol}:{side}")
                effect = "its levels were never tried"
                if (symbol, side) in waiting:
                    effect = "the position was never opened"
                self._show(
                    f"{symbol} {side}: no {source!r} price of {symbol} came, so {effect};"
                    " check the symbol, or choose another source with --trigger mark|last|book"
                )
        return sorted(silent)

    def _say_unused(self, markets: Sequence[Market]) -> None:
        """Names the options for symbols that never came: a misspelt one must not pass in silence."""
        options = self._options
        known = {market.symbol for market in markets if market.ticks}
        known.update(asked.symbol for asked in options.positions)
        for option, values in (
            ("--atr", options.atrs),
            ("--input", options.inputs),
            ("--tick", options.ticks),
            ("--step", options.steps),
            ("--min-qty", options.min_quantities),
        ):
            for symbol in values:
                if symbol not in known:
                    self._show(f"{option} {symbol}: no price of {symbol} came; check the symbol")


def configuration(options: ReplayOptions, header: TapeHeader | None) -> Config:
    """The configuration of a replay: the option's, else the recording's own, else nothing but defaults."""
    if options.config is not None:
        return load_config(options.config)
    recorded: Any = None if header is None else header.config
    if recorded:
        return config_from_tables(recorded, source="the tape's header")
    return Config()
