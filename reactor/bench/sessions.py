"""Replays as the benchmarks run them: one position under one plan, its lines counted."""

from decimal import Decimal

from reactor.core.decisions import Side
from reactor.core.plan import plan_from_toml
from reactor.replay.lines import Line
from reactor.replay.options import AskedPosition, ReplayOptions
from reactor.replay.session import Session

SIDES: tuple[Side, Side] = ("LONG", "SHORT")

_PLAN = """
name = "bench"
trigger = "last"
[stop]
atr = 1.5
[[targets]]
r = 2.0
close = 0.5
[[targets]]
r = 4.0
close = 0.5
[trailing]
activate = "in_profit"
pct = {trailing_pct}
"""

TRAILING_PCT = "0.003"


class Played:
    """A replay session and the lines that it has put out.

    Attributes:
        session: made, not yet played.
        symbol: what it holds.
        lines: its decisions as `--json` would print them.
        notes: what it has said on standard error.
    """

    def __init__(
        self,
        *,
        symbol: str,
        side: Side,
        entry: Decimal,
        atr: Decimal,
        tick: Decimal,
        trailing_pct: str = TRAILING_PCT,
    ) -> None:
        """Opens one position under a plan with an ATR stop, two rungs and a trailing stop.

        Args:
            symbol: what it holds, upper case.
            side: LONG or SHORT.
            entry: its entry price.
            atr: the fixed ATR, in price.
            tick: tick size.
            trailing_pct: the trailing distance as a fraction of the peak.
        """
        self.symbol = symbol
        self.lines: list[Line] = []
        self.notes: list[str] = []
        options = ReplayOptions(
            plan=plan_from_toml(_PLAN.format(trailing_pct=trailing_pct), source="bench"),
            positions=(AskedPosition(symbol, side, Decimal("0.182"), entry),),
            atrs={symbol: atr},
            ticks={symbol: tick},
            steps={symbol: Decimal("0.001")},
        )
        self.session = Session(
            options, header=None, trigger="last", emit=self.lines.append, note=self.notes.append
        )

    @property
    def stop_moves(self) -> int:
        """How often the stop has moved."""
        return sum(line["type"] == "stop" for line in self.lines)

    @property
    def is_open(self) -> bool:
        """Whether the position was opened and has not been closed."""
        return bool(self.session.engine.positions)
