"""What a successor would need, kept: the journal's epochs, and the start of every tape."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from reactor.config import Config
from reactor.core.decisions import Decision, Opened, Side
from reactor.core.epoch_state import EpochState, state_of
from reactor.core.market import Source
from reactor.shell.assembly import StartState
from reactor.shell.guard import Guard
from reactor.shell.journal.journal import Journal
from reactor.shell.plan_choice import PlanChoice
from reactor.shell.recorded import PolicyLine
from reactor.shell.recorder import Recorder
from reactor.shell.tape_format import LiveSession

OPENING_WRITTEN_S: Final = 0.05
"""How long the first order of an epoch waits for the epoch's opening to be on the disk; a disk that is slower is told
of. Nothing else waits for it, and an exit within milliseconds of its epoch's opening is rare."""

OPENING_LOOK_S: Final = 0.002
OPENING_LOOKS_MAX: Final = 50
"""How often it is looked whether it is, so that orders can lie ready; later the rounds of ready orders will do."""

EVERY_S: Final = 1.0
"""The longest that a new peak, or an order's progress, is not in the journal. Decisions are at once."""

SEEN_EVERY: Final = 5
"""Every how many of these rounds the time of the last price is written where nothing else changed: what a
successor's gap audit begins with. A state is never written without it."""


class Keeping:
    """Writes a guard's state down: with every decision, and once a second what changed without one.

    Attributes:
        recorder: whose tape is flushed beside; None where nothing is recorded.
        seen_ms: the exchange time of the last price of each `SYMBOL:source` with a position.
        on_written: called when the opening of an epoch has come to be on the disk.
        gaps: answers with the gaps in the prices that are not audited yet, and when they began.
    """

    def __init__(
        self, guard: Guard, *, journal: Journal, config: Config, plans: PlanChoice
    ) -> None:
        """Begins to listen to the guard.

        Args:
            guard: whose positions are kept.
            journal: where.
            config: of the session, for tapes.
            plans: likewise.
        """
        self._guard = guard
        self._journal = journal
        self._config = config
        self._plans = plans
        self._book = guard.pump.account.book
        self._saved: dict[tuple[str, Side], EpochState] = {}
        self._trades: dict[str, int] = {}
        self._virtual: dict[str, str] = {}
        self._policies: dict[str, PolicyLine] = {}
        self.recorder: Recorder | None = None
        self.seen_ms: dict[str, int] = {}
        self.on_written: Callable[[], None] = _nothing
        # The openings that are not known to be on the disk: the journal's count that says they are.
        self._openings: dict[tuple[str, Side], int] = {}
        self.gaps: Callable[[], Mapping[tuple[str, Source], int]] = dict
        self._seen_rounds = 0
        guard.together = journal.turn
        guard.after.append(self._after)

    async def run(self) -> None:
        """Tells how everybody stands and keeps what changed, once a second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self._guard.show_all()
            self.save()
            if self.recorder is not None:
                self._guard.write_down()
                self.recorder.flush()

    def save(self) -> None:
        """Writes down what changed since it was last written."""
        with self._journal.turn():
            for key in self._guard.positions:
                self._save(*key)
            self._seen_rounds += 1
            if self._seen_rounds >= SEEN_EVERY:
                self._save_seen()
            self._save_trades()
            if self._config.mode != "live":
                self._save_virtual()

    def _after(self, decisions: Sequence[Decision], t_ns: int) -> None:
        keys = {(decision.symbol, decision.side) for decision in decisions if decision.side}
        for symbol, side in keys:
            self._save(symbol, side)
        self._journal.put_epochs(self._guard.pump.engine.epochs)
        opened = [one for one in decisions if isinstance(one, Opened)]
        for decision in opened:
            self._openings[decision.symbol, decision.side] = self._journal.put_count
        if opened:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._journal.hurry)
            loop.call_later(OPENING_LOOK_S, self._look_for_openings, OPENING_LOOKS_MAX)

    def is_opening_written(self, symbol: str, side: Side) -> bool:
        """Whether the opening of a position's epoch is on the disk: no order may leave for it before."""
        number = self._openings.get((symbol, side))
        if number is None:
            return True
        if not self._journal.is_written(number):
            return False
        del self._openings[symbol, side]
        return True

    def before_exit(self, symbol: str, side: Side) -> None:
        """An order is about to leave. Its id is made of its epoch's opening, so that has to be on the disk.

        A disk that does not answer in time keeps no exit from leaving.
        """
        if not self.is_opening_written(symbol, side):
            self._journal.flush(OPENING_WRITTEN_S)
            self._openings.pop((symbol, side), None)

    def _look_for_openings(self, looks: int) -> None:
        if all(self.is_opening_written(*key) for key in tuple(self._openings)):
            self.on_written()
        elif looks:
            loop = asyncio.get_running_loop()
            loop.call_later(OPENING_LOOK_S, self._look_for_openings, looks - 1)

    def _save(self, symbol: str, side: Side) -> None:
        machine = self._guard.positions.get((symbol, side))
        if machine is None:
            self._saved.pop((symbol, side), None)
            return
        state = state_of(machine)
        if self._saved.get((symbol, side)) != state:
            self._saved[symbol, side] = state
            self._journal.put_epoch(state)
            self._save_seen()

    def recall(self, epochs: Sequence[EpochState]) -> None:
        """Learns when the last process saw the last price of each epoch that it left open."""
        left = self._journal.load()
        recorded = orjson.loads(left.notes.get("seen", "{}"))
        written_ms = (left.written_ns or 0) // 1_000_000
        for epoch in epochs:
            name = f"{epoch.symbol}:{epoch.plan.trigger}"
            self.seen_ms[name] = int(recorded.get(name, written_ms))

    def _save_seen(self) -> None:
        """Writes down until when prices were seen; of a gap that is not audited yet its beginning."""
        self._seen_rounds = 0
        seen: dict[str, int] = {}
        gaps = self.gaps()
        for machine in self._guard.positions.values():
            place = (machine.symbol, machine.plan.trigger)
            name = f"{place[0]}:{place[1]}"
            market = self._guard.market_of(machine)
            now_ms = market.t_event_ms if market is not None and market.ticks else 0
            seen[name] = gaps.get(place) or now_ms or self.seen_ms.get(name, 0)
        if seen != self.seen_ms:
            self.seen_ms = seen
            self._journal.put_note("seen", orjson.dumps(seen).decode())

    def keep_policy(self, line: PolicyLine) -> None:
        """Writes down a policy from outside, until it expires or is taken back."""
        key = f"{line.symbol}:{line.side}"
        self._policies.pop(key, None)
        if line.mode is not None or line.regime is not None:
            self._policies[key] = line
        written = msgspec.json.encode(list(self._policies.values())).decode()
        self._journal.put_note("policies", written)

    def left_policies(self, *, now_ms: int) -> list[PolicyLine]:
        """The policies from outside that the process before was told, and that still hold.

        The nearest first (a side of a symbol, a symbol, all): said again in this order, none of them wants for
        a position what another one takes back at once.
        """
        written = self._journal.load().notes.get("policies", "[]")
        try:
            left = msgspec.json.decode(written, type=list[PolicyLine])
        except msgspec.DecodeError:
            return []
        holding = [line for line in left if line.expires_ms is None or line.expires_ms > now_ms]
        return sorted(holding, key=lambda line: (line.symbol == "*", line.side == "BOTH"))

    def _save_trades(self) -> None:
        newest_ms = self._guard.pump.account.newest_trade_ms
        for symbol, trade_id in self._book.counted_trades.items():
            if self._trades.get(symbol) != trade_id:
                self._trades[symbol] = trade_id
                self._journal.put_trade(symbol, trade_id, newest_ms.get(symbol, 0))

    def _save_virtual(self) -> None:
        sizes = {
            f"{symbol}:{side}": str(size) for (symbol, side), size in self._book.virtual().items()
        }
        if sizes != self._virtual:
            self._virtual = sizes
            self._journal.put_note("virtual", orjson.dumps(sizes).decode())

    # Tapes ------------------------------------------------------------------------------------

    def state(self) -> StartState:
        """What a successor that began now would have to start from."""
        book, positions = self._book, self._guard.positions
        return StartState(
            epochs=tuple(state_of(machine) for machine in positions.values()),
            epoch_number=self._guard.pump.engine.epochs,
            sides={
                f"{symbol}:{side}": book.position_side(symbol, side) for symbol, side in positions
            },
            trades=book.counted_trades,
            virtual={f"{symbol}:{side}": size for (symbol, side), size in book.virtual().items()},
            adopts=book.adopts,
            ignored=tuple(
                f"{symbol}:{side}" for symbol, side in sorted(self._guard.pump.engine.ignored)
            ),
        )

    def header(self, start: StartState, session: LiveSession) -> Callable[[], Mapping[str, Any]]:
        """What gives the header of each tape of the session: the first starts where the session does."""
        config = msgspec.to_builtins(self._config)
        plans = self._plans.contents()
        states = [start]

        def header() -> Mapping[str, Any]:
            state = states.pop() if states else self.state()
            return {
                "config": config,
                "plans": plans,
                "instance": self._config.instance,
                "session": msgspec.to_builtins(session),
                "journal": msgspec.to_builtins(state),
            }

        return header


def _nothing() -> None:
    """Nobody waits for openings."""
