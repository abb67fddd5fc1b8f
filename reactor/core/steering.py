"""What steers the choice of plans while a session runs: the regimes of its symbols, and the exit policy.

The engine asks it when an epoch opens and tells it each closed candle of the regime's timeframe. It answers
with values; applying them to machines is the engine's part.
"""

from collections.abc import Callable, Iterable

from reactor.core.candles import CandleSeries
from reactor.core.decisions import Side
from reactor.core.plan import Plan, Trigger
from reactor.core.policy import Choice, ExternalPolicy, Policy
from reactor.core.regime import UNKNOWN, Classifier, Regime, RegimeConfig, Verdict
from reactor.core.sizing import wants_input

SIDES: tuple[Side, Side] = ("LONG", "SHORT")
NO_POLICY = "a policy from outside was left out: there is no [policy] in the configuration"
REGIME_SOURCES: tuple[Trigger, ...] = ("mark", "last", "book")


class Steering:
    """Regimes and policy of one session.

    Attributes:
        config: how regimes are classified.
        policy: None where plans are only named, never chosen.
    """

    def __init__(
        self,
        *,
        config: RegimeConfig,
        policy: Policy | None = None,
        covers: Callable[[str, Side], bool] | None = None,
    ) -> None:
        """Has seen no candle yet.

        Args:
            config: how regimes are classified.
            policy: what chooses plans.
            covers: whether the policy chooses for a symbol and side; for all where None is given.
        """
        self.config = config
        self.policy = policy
        self._covers = covers or (lambda _symbol, _side: True)
        self._classifiers: dict[str, Classifier] = {}

    def covers(self, symbol: str, side: Side) -> bool:
        """Whether the policy chooses this position's plan."""
        return self.policy is not None and self._covers(symbol, side)

    def possible_plans(self, symbol: str) -> list[Plan]:
        """Every plan that the policy may give a position of this symbol."""
        if self.policy is None or not any(self.covers(symbol, side) for side in SIDES):
            return []
        return list(self.policy.plans)

    def wants_regime(self, symbol: str, plans: Iterable[Plan]) -> bool:
        """Whether anything asks for this symbol's regime: the policy, or a ladder rule of its plans."""
        return bool(self.possible_plans(symbol)) or any(
            wants_input(plan, "regime") for plan in plans
        )

    def regime_source(self, plans: Iterable[Plan]) -> Trigger:
        """The price source that tells a symbol's regime, where its plans look at several."""
        triggers = {plan.trigger for plan in plans}
        return next(source for source in REGIME_SOURCES if source in triggers)

    # Regimes ----------------------------------------------------------------------------------

    def verdict(self, symbol: str) -> Verdict:
        """What the classifier says of a symbol now."""
        classifier = self._classifiers.get(symbol)
        return UNKNOWN if classifier is None else classifier.verdict

    def on_candle(self, symbol: str, series: CandleSeries) -> Verdict | None:
        """Counts the series' last closed candle in.

        Returns:
            The new verdict where its regime or volatility changed, else None.
        """
        candle = series.last_closed
        if candle is None:
            # A hole that no flat candles could honestly fill: the series has started anew.
            return self._replace(symbol, Classifier(self.config))
        classifier = self._classifiers.get(symbol)
        if classifier is None:
            classifier = self._classifiers[symbol] = Classifier(self.config)
        before = classifier.verdict
        after = classifier.close_candle(
            candle.open_time_ms + series.interval_ms, candle.high, candle.low, candle.close
        )
        return None if after.state == before.state else after

    def on_history(self, symbol: str, series: CandleSeries) -> Verdict | None:
        """Classifies a series anew, some of whose closed candles have changed; answers as `on_candle`."""
        classifier = Classifier(self.config)
        for candle in series.closed:
            end_ms = candle.open_time_ms + series.interval_ms
            classifier.close_candle(end_ms, candle.high, candle.low, candle.close)
        return self._replace(symbol, classifier)

    def _replace(self, symbol: str, classifier: Classifier) -> Verdict | None:
        before = self.verdict(symbol)
        self._classifiers[symbol] = classifier
        return None if classifier.verdict.state == before.state else classifier.verdict

    # Plans ------------------------------------------------------------------------------------

    def choose(self, symbol: str, side: Side, *, now_ns: int) -> Choice | None:
        """What the policy wants for a position; None where it has no say."""
        if self.policy is None or not self.covers(symbol, side):
            return None
        return self.policy.choose(symbol, side, self.verdict(symbol), now_ns=now_ns)

    def standing_plan(self, symbol: str, side: Side) -> Plan | None:
        """A plan that shows which price source a chosen one will have: all of a policy's have the same."""
        if self.policy is None or not self.covers(symbol, side):
            return None
        return next(plan for plan in self.policy.plans)

    def say(self, external: ExternalPolicy, *, now_ns: int) -> None:
        """Takes a policy from outside."""
        if self.policy is not None:
            self.policy.say(external, now_ns=now_ns)

    def doubt(self, external: ExternalPolicy) -> str:
        """Why a policy from outside will not do what it says; empty where nothing speaks against it."""
        if self.policy is None:
            return NO_POLICY
        if external.mode is None and external.regime is None:
            return ""
        sides = SIDES if external.side is None else (external.side,)
        if external.symbol != "*" and not any(self.covers(external.symbol, side) for side in sides):
            return (
                f"a policy from outside was left out: the plan of {external.symbol} is named in the"
                " configuration"
            )
        return self.policy.doubt(external.mode)

    def due_ns(self, now_ns: int) -> int | None:
        """When something that was said from outside expires; None where nothing does."""
        return None if self.policy is None else self.policy.due_ns(now_ns)

    def regime_input(self, symbol: str, choice: Choice | None) -> str | None:
        """The regime for ladder rules; None while it is not known."""
        if choice is not None:
            return None if choice.regime == Regime.UNKNOWN else choice.regime
        regime = self.verdict(symbol).regime
        return None if regime is Regime.UNKNOWN else str(regime)
