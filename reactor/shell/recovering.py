"""Before anything may be sent for a position that was open before: is there an order that the journal forgot?

For every epoch that the journal has open, the exchange is asked for the ids that come next after what was
written down. An order that is found there was sent; the epoch takes it up as if it had been journaled.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from reactor.binance.decode import decode_rest
from reactor.binance.orders import parse_client_order_id
from reactor.binance.rest_account_messages import AlgoOrder, Order
from reactor.clock import Clock
from reactor.core.epoch_state import EpochState
from reactor.core.exact import ZERO, add, text
from reactor.core.orders import OrderIds
from reactor.core.recovery import as_sent, next_exit_id, with_exit, with_hard_stop, with_outcome
from reactor.errors import RestFailed
from reactor.limits import EXIT_SLICES_MAX
from reactor.shell.recorded import slice_id
from reactor.shell.rest.client import RestClient, failure_of

ORDER: Final = "/fapi/v1/order"
OPEN_ALGO: Final = "/fapi/v1/openAlgoOrders"
NOT_FOUND: Final = -2013
UNKNOWN_SYMBOL: Final = -1121
WORKING: Final = frozenset({"NEW", "PARTIALLY_FILLED"})

LAG_NS: Final = 1_000_000_000
"""How long after the last entry of the journal its successor waits before "not found" counts: queries lag."""

DECISIONS_MAX: Final = 20
"""Decisions that one epoch may be behind; a journal that is further behind was not this epoch's."""


async def recover(
    states: tuple[EpochState, ...],
    *,
    written_ns: int | None,
    order_ids: OrderIds,
    rest: RestClient,
    clock: Clock,
    say: Callable[[str], None],
) -> tuple[EpochState, ...]:
    """Completes the epochs that the journal has open.

    Args:
        states: as the journal has them.
        written_ns: when the journal was last written.
        order_ids: the pure function that names orders.
        rest: what asks.
        clock: ours.
        say: told what was found.

    Returns:
        The states, with the exits that were sent and not written down.

    Raises:
        RestFailed: an answer that leaves open whether an order exists. Nothing may be sent then.
    """
    if states and written_ns is not None:
        early_s = (written_ns + LAG_NS - clock.now_ns()) / 1e9
        if early_s > 0:
            await asyncio.sleep(min(early_s, LAG_NS / 1e9))
    return tuple([await _complete(state, order_ids, rest, say) for state in states])


async def _complete(
    state: EpochState, order_ids: OrderIds, rest: RestClient, say: Callable[[str], None]
) -> EpochState:
    state = await _with_hard_stop(as_sent(state), order_ids, rest, say)
    for _ in range(DECISIONS_MAX):
        exit_id = next_exit_id(state, order_ids)
        found = await _ask(rest, state.symbol, exit_id)
        if found is None:
            return state
        slices = [found]
        for number in range(1, EXIT_SLICES_MAX):
            part = await _ask(rest, state.symbol, slice_id(exit_id, number))
            if part is None:
                break
            slices.append(part)
        quantity = filled = ZERO
        for one in slices:
            quantity = add(quantity, one.original_quantity)
            filled = add(filled, one.executed_quantity)
        sent_ns = (found.time_ms or found.update_time_ms) * 1_000_000
        state = with_exit(state, quantity=quantity, t_ns=sent_ns, order_ids=order_ids)
        state = with_outcome(
            state,
            filled=filled,
            is_over=all(one.status not in WORKING for one in slices),
            t_ns=sent_ns,
            order_ids=order_ids,
        )
        say(
            f"{state.symbol} {state.side}: an exit of {text(quantity)} was sent and not written down;"
            f" it is {found.status.lower()}, filled {text(filled)}"
        )
    return state


async def _with_hard_stop(
    state: EpochState, order_ids: OrderIds, rest: RestClient, say: Callable[[str], None]
) -> EpochState:
    """A stop that moved and was not written down: the hard stop that followed it shows where it was."""
    own = parse_client_order_id(next_exit_id(state, order_ids))
    answer = await rest.get(
        OPEN_ALGO, {"symbol": state.symbol}, weight=1, purpose="exit", signed=True
    )
    failure = failure_of(answer)
    if failure is not None:
        raise RestFailed(f"{OPEN_ALGO}: {failure.code} {failure.msg}")
    rows = decode_rest("GET", OPEN_ALGO, answer.status, answer.body)
    triggers = [
        row.trigger_price
        for row in (rows if isinstance(rows, tuple) else ())
        if isinstance(row, AlgoOrder)
        and row.trigger_price > 0
        and (parts := parse_client_order_id(row.client_algo_id)) is not None
        and parts.purpose == "hard_stop"
        and own is not None
        and (parts.instance, parts.position, parts.epoch, parts.epoch_number)
        == (own.instance, own.position, own.epoch, own.epoch_number)
    ]
    if not triggers:
        return state
    best = max(triggers) if state.side == "LONG" else min(triggers)
    after = with_hard_stop(state, best)
    if after != state:
        say(
            f"{state.symbol} {state.side}: its stop had moved from {text(state.stop_price)} to"
            f" {text(after.stop_price)} and that was not written down; its hard stop shows it"
        )
    return after


async def _ask(rest: RestClient, symbol: str, client_id: str) -> Order | None:
    params = {"symbol": symbol, "origClientOrderId": client_id}
    answer = await rest.get(ORDER, params, weight=1, purpose="exit", signed=True)
    failure = failure_of(answer)
    if failure is not None:
        if failure.code in {NOT_FOUND, UNKNOWN_SYMBOL}:
            # Of a contract that is not listed any more there is no order either.
            return None
        raise RestFailed(f"{ORDER}: {failure.code} {failure.msg}")
    body = decode_rest("GET", ORDER, answer.status, answer.body)
    if not isinstance(body, Order):
        raise RestFailed(f"{ORDER}: an answer that cannot be read")
    return body
