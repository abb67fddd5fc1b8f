"""Candles that regimes, policies and ladder rules look at, beside those of a position's own plan."""

from reactor.core.decisions import Side
from reactor.core.plan import Plan
from reactor.core.sizing import wants_input
from reactor.core.steering import Steering
from reactor.shell.rest.warm_up import Need, need_of


def needs_beside(steering: Steering, symbol: str, plans: dict[Side, Plan]) -> set[Need]:
    """What has to be read for a symbol beside its named plans' own ATRs.

    Args:
        steering: regimes and policy.
        symbol: the contract.
        plans: the plans that are named for its sides.
    """
    possible = [*plans.values(), *steering.possible_plans(symbol)]
    needs = {need_of(plan, symbol) for plan in steering.possible_plans(symbol)}
    for plan in possible:
        if wants_input(plan, "volatility"):
            atr = plan.atr
            needs.add(
                Need(
                    symbol=symbol,
                    source=plan.trigger,
                    interval="15m",
                    period=atr.period,
                    method=atr.method,
                )
            )
    if steering.wants_regime(symbol, possible):
        config = steering.config
        needs.add(
            Need(
                symbol=symbol,
                source=steering.regime_source(possible),
                interval=config.timeframe,
                period=config.atr_period,
                # The one whose close only begins and the one that still forms are beside them.
                rows=config.history_candles + 2,
            )
        )
    return needs
