"""Which plan a position gets: an override, its symbol's or side's, the session's, the default.

Plans are looked up once, by name: among those that a tape's header brought, else the shipped ones and files.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from reactor.config import Config
from reactor.core.decisions import Side
from reactor.core.plan import Plan, plan_from_tables, plan_from_toml
from reactor.plans import DEFAULT_PLAN, load_plan, plan_toml

SIDES: tuple[Side, Side] = ("LONG", "SHORT")


class PlanChoice:
    """The plans of one session.

    Attributes:
        recorded: the plans that a tape's header brought, by name; empty where there is none.
    """

    def __init__(
        self,
        config: Config,
        *,
        override: Plan | None = None,
        recorded: Mapping[str, Any] | None = None,
        trigger: str | None = None,
    ) -> None:
        """Chooses nothing yet.

        Args:
            config: names plans by symbol and side.
            override: the plan of every position, whatever is configured.
            recorded: contents of plans by name, TOML texts or tables; they come before shipped ones.
            trigger: a price source that overrules the plans' own.
        """
        self._config = config
        self._override = override
        self._trigger = trigger
        self._plans: dict[tuple[str, Side], Plan] = {}
        self.recorded: Mapping[str, Any] = recorded or {}

    def plan_for(self, symbol: str, side: Side) -> Plan:
        """The plan of a position.

        Raises:
            PlanError: it does not exist or is refused.
        """
        key = (symbol, side)
        if key not in self._plans:
            plan = self._override or self.named(self.name_of(symbol, side))
            if self._trigger is not None and plan.trigger != self._trigger:
                plan = msgspec.structs.replace(plan, trigger=self._trigger)
            self._plans[key] = plan
        return self._plans[key]

    def name_of(self, symbol: str, side: Side) -> str:
        """The name of a position's plan, where nothing overrides it."""
        config = self._config.symbols.get(symbol)
        name = (config and config.plan_name(side)) or self._config.plan
        if name is None and len(self.recorded) == 1:
            name = next(iter(self.recorded))
        return name or DEFAULT_PLAN

    def named(self, name: str) -> Plan:
        """A plan by its name.

        Raises:
            PlanError: it does not exist or is refused.
        """
        if name not in self.recorded:
            return load_plan(name)
        content = self.recorded[name]
        source = f"plan {name!r} in the tape's header"
        if isinstance(content, str):
            return plan_from_toml(content, source=source)
        return plan_from_tables(content, source=source)

    def look_up(self, symbols: Iterable[str] = ()) -> tuple[Plan, ...]:
        """Reads every plan that the session may need, so that a wrong one is refused before it starts.

        Returns:
            The plans, each once.
        """
        wanted = sorted({*self._config.symbols, *symbols, ""})
        plans = [self.plan_for(symbol, side) for symbol in wanted for side in SIDES]
        return tuple({plan.name: plan for plan in plans}.values())

    def contents(self) -> dict[str, str]:
        """The texts of all plans that the configuration names, for a tape's header.

        Raises:
            PlanError: one cannot be read any more.
        """
        names = {
            self.name_of(symbol, side) for symbol in (*self._config.symbols, "") for side in SIDES
        }
        return {name: plan_toml(name) for name in sorted(names)}
