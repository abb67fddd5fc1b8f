"""The engine and the pump of one account's session, built the same way live and in a replay of it.

What a live session's decisions depended on, beside its messages, stands in its tape's header: configuration,
plans, mode, instance, and the state at the start. Both sides build from exactly these here.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from reactor.binance.orders import client_order_id
from reactor.config import Config, ManageConfig
from reactor.core.decisions import Side
from reactor.core.engine import Engine
from reactor.core.epoch_state import EpochState, restore
from reactor.core.exact import multiply
from reactor.core.ladder import Filters
from reactor.core.management import Management
from reactor.core.orders import Fills, OrderIds
from reactor.core.plan import Plan
from reactor.core.sizing import Inputs
from reactor.core.steering import Steering
from reactor.errors import TapeError
from reactor.shell.pump import Note, Pump
from reactor.shell.tape_format import LiveSession


class StartState(msgspec.Struct, frozen=True, kw_only=True):
    """What a session starts from: what its predecessor left.

    Attributes:
        epochs: of the positions that were open.
        epoch_number: how many epochs this instance has ever opened.
        sides: the position side (BOTH, LONG, SHORT) of each open epoch, by `SYMBOL:SIDE`.
        trades: the newest trade id that was counted, by symbol.
        virtual: the real sizes behind a dry run's positions, by `SYMBOL:SIDE`.
        adopts: whether positions that are heard of now were open before the session began. False, like `is_old`, at
            the change from one tape to the next, once the first snapshot was seen.
        ignored: open positions that adoption left alone, as `SYMBOL:SIDE`.
        is_old: whether the epochs are as an earlier process left them, so that no clock of theirs may run before
            the exchange has said what is open. False at the change from one tape to the next.
    """

    epochs: tuple[EpochState, ...] = ()
    epoch_number: int = 0
    sides: Mapping[str, str] = {}
    trades: Mapping[str, int] = {}
    virtual: Mapping[str, Decimal] = {}
    adopts: bool = True
    ignored: tuple[str, ...] = ()
    is_old: bool = False


def start_state(recorded: Any) -> StartState:
    """The state in a tape's header.

    Raises:
        TapeError: it is none that this program knows.
    """
    try:
        return msgspec.convert(recorded or {}, StartState, strict=False)
    except msgspec.ValidationError as error:
        raise TapeError(f"the journal in the tape's header cannot be read: {error}") from None


def _key(name: str) -> tuple[str, Side]:
    symbol, _, side = name.rpartition(":")
    return symbol, "LONG" if side == "LONG" else "SHORT"


def order_ids(instance: str) -> OrderIds:
    """The order ids of an instance of this name."""

    def order_id(
        symbol: str, side: Side, opened_ns: int, epoch: int, number: int, attempt: int
    ) -> str:
        return client_order_id(
            instance=instance,
            symbol=symbol,
            side=side,
            epoch_opened_ns=opened_ns,
            epoch_number=epoch,
            decision=number,
            attempt=attempt,
        )

    return order_id


def management_of(manage: ManageConfig, session: LiveSession) -> Management:
    """How a live session takes positions."""

    def manages(symbol: str, side: Side, quantity: Decimal, entry: Decimal) -> bool:
        limit = manage.max_notional
        fits = limit is None or multiply(quantity, entry) <= limit
        return fits and manage.covers(symbol, side)

    return Management(manages=manages, virtual=session.mode != "live", reported=True)


def live_pump(
    config: Config,
    session: LiveSession,
    *,
    plan_for: Callable[[str, Side], Plan],
    filters_for: Callable[[str], Filters],
    fixed_atr: dict[str, Decimal] | None = None,
    instance: str,
    start: StartState,
    note: Note,
    inputs_for: Callable[[str, Side], Inputs] | None = None,
    steering: Steering | None = None,
) -> Pump:
    """The pump, with its engine, of one account's live session or the replay of it.

    Args:
        config: the session's configuration.
        session: its mode.
        plan_for: the plan of a new epoch.
        filters_for: what a symbol rounds to.
        fixed_atr: ATRs instead of candle-built ones, by symbol.
        instance: what names its orders.
        start: what it starts from.
        note: takes what a person should know.
        inputs_for: facts for ladder rules that overrule what the messages tell; replays have them.
        steering: regimes, and the policy that chooses plans.
    """
    fills = Fills.REPORTED if session.mode == "live" else Fills.AT_TRIGGER
    ids = order_ids(instance)
    engine = Engine(
        plan_for=plan_for,
        filters_for=filters_for,
        fixed_atr=fixed_atr,
        fills=fills,
        order_ids=ids,
        on_adopt=config.manage.on_adopt,
        inputs_for=inputs_for,
        steering=steering,
    )
    pump = Pump(
        engine, note=note, follow_account=True, management=management_of(config.manage, session)
    )
    engine.start_epochs_after(start.epoch_number)
    book = pump.account.book
    for state in start.epochs:
        machine = restore(state, fills=fills, order_ids=ids)
        engine.restore(machine)
        name = f"{state.symbol}:{state.side}"
        book.restore(machine, position_side=start.sides.get(name, "BOTH"))
    book.know_virtual({_key(name): size for name, size in start.virtual.items()})
    book.know_trades(start.trades)
    engine.ignored.update(_key(name) for name in start.ignored)
    if not start.adopts:
        book.stop_adopting()
    engine.is_time_held = start.is_old
    return pump
