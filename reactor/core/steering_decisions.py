"""What regimes and policy make of positions, as decisions."""

from typing import Literal

from reactor.core.decisions import Alarm, Decision, PolicyChanged, RegimeChanged
from reactor.core.machine import Machine
from reactor.core.market import Market
from reactor.core.policy import Choice, ExternalPolicy
from reactor.core.regime import Verdict


def policy_decisions(
    machine: Machine,
    choice: Choice,
    action: Literal["chosen", "keep", "tighten"],
    *,
    before: str,
    t_ns: int,
) -> list[Decision]:
    """What the policy wants for a machine, and an alarm where it asked for a mode that there is not."""
    decisions: list[Decision] = [
        PolicyChanged(
            t_ns=t_ns,
            tick=machine.tick,
            symbol=machine.symbol,
            side=machine.side,
            epoch=machine.epoch,
            action=action,
            plan=choice.plan.name,
            before=before,
            mode=choice.mode,
            profile=choice.profile,
            regime=choice.regime,
            volatility=choice.volatility,
            source=choice.source,
            why=choice.why,
            stop=machine.stop_price,
            targets=machine.open_targets(),
            trail=machine.trailing_distance(),
        )
    ]
    if choice.warning:
        decisions.append(
            Alarm(
                t_ns=t_ns,
                tick=machine.tick,
                symbol=machine.symbol,
                side=machine.side,
                epoch=machine.epoch,
                what=choice.warning,
            )
        )
    return decisions


def regime_decision(
    market: Market, verdict: Verdict, *, timeframe: str, t_ns: int
) -> RegimeChanged:
    """That a symbol's regime is another one from here on."""
    measures = verdict.measures
    return RegimeChanged(
        t_ns=t_ns,
        tick=market.ticks,
        symbol=market.symbol,
        timeframe=timeframe,
        regime=str(verdict.regime),
        volatility=str(verdict.volatility),
        since_ms=verdict.since_ms,
        adx=measures.adx,
        plus_di=measures.plus_di,
        minus_di=measures.minus_di,
        efficiency=measures.efficiency,
        atr_pct=measures.atr_pct,
        rank=measures.rank,
    )


def doubted_policy(external: ExternalPolicy, doubt: str, *, t_ns: int) -> Alarm:
    """That a policy from outside will not do what whoever said it may expect."""
    return Alarm(
        t_ns=t_ns,
        tick=0,
        symbol=external.symbol,
        side=external.side,
        epoch=None,
        what=doubt,
    )
