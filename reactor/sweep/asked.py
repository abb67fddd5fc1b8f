"""What a sweep is asked."""

from decimal import Decimal
from pathlib import Path

import msgspec

from reactor.core.decisions import Side
from reactor.core.orders import Fills
from reactor.core.plan import Trigger
from reactor.replay.options import AskedPosition
from reactor.sweep.grid import Parameter
from reactor.sweep.track_files import Input


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what a sweep answers; `workers` only how fast.

    Attributes:
        inputs: the files. `joined`: whether the tapes are one session, in their order.
        symbols: the ones that are wanted; all of them where it is empty.
        plan: the base plan's name or file; None for the default.
        parameters: what is set. `drawn`: how many combinations are drawn; None for all. `seed`: of draws.
        positions: positions at the start instead of entries every `every_ns` on `sides`, of `notional`.
        share: of the entries that train. `embargo_ns`: of the split. `folds`: of walking forward.
        objective: what is ranked by. `trades_min`: positions below which a combination is not ranked.
        fee_bp: of each fill, in basis points.
    """

    inputs: tuple[Input, ...]
    joined: bool = False
    symbols: tuple[str, ...] = ()
    plan: str | None = None
    parameters: tuple[Parameter, ...]
    drawn: int | None = None
    seed: int = 1
    positions: tuple[AskedPosition, ...] = ()
    every_ns: int
    sides: tuple[Side, ...] = ("LONG", "SHORT")
    notional: Decimal = Decimal(1000)
    trigger: Trigger | None = None
    config: Path | None = None
    atrs: dict[str, Decimal] = {}
    ladder: dict[str, dict[str, str]] = {}
    ticks: dict[str, Decimal] = {}
    steps: dict[str, Decimal] = {}
    min_quantities: dict[str, Decimal] = {}
    fills: Fills = Fills.AT_TRIGGER
    share: float = 0.7
    embargo_ns: int = 0
    folds: int = 0
    horizon_ns: int | None = None
    objective: str = "mean_r"
    trades_min: int = 10
    fee_bp: Decimal = Decimal(5)
    fallback_stops: bool = False
    workers: int = 1
