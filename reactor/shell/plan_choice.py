"""Which plan a position gets: an override, its symbol's or side's, the session's, the default.

Plans are looked up once, by name: among those that a tape's header brought, else the shipped ones and files.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from reactor.config import Config
from reactor.core.decisions import Side
from reactor.core.plan import Plan, plan_from_tables, plan_from_toml
from reactor.core.policy import Matrix, Policy, matrix_from_tables
from reactor.core.steering import Steering
from reactor.errors import PolicyError
from reactor.plans import DEFAULT_PLAN, load_plan, plan_toml, shipped_plan_names
from reactor.policies import shipped_matrices

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
        # Read once: a file that is edited or gone meanwhile must not change what a running session does.
        self._named: dict[str, Plan] = {}
        self._steering: Steering | None = None
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
        if name not in self._named:
            self._named[name] = self._read(name)
        return self._named[name]

    def _read(self, name: str) -> Plan:
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
        if self._config.policy is not None:
            names |= {self._plan_of_mode(mode) for mode in self._modes()}
        return {name: plan_toml(name) for name in sorted(names)}

    # The exit policy --------------------------------------------------------------------------

    def steering(self) -> Steering:
        """Regimes, and the policy that chooses plans where the configuration has one: one for a session.

        It has no say where a plan is named: an override for all, or a symbol's or side's own.

        Raises:
            PolicyError: a matrix leaves a case open, a profile does not exist, or the plans of the matrices
                look at different price sources.
            PlanError: a plan that the configuration names for a mode is refused.
        """
        if self._steering is None:
            named = self._config.policy is None or self._override is not None
            self._steering = Steering(
                config=self._config.regime,
                policy=None if named else self._policy(),
                covers=self._is_covered,
            )
        return self._steering

    def doubts(self) -> list[str]:
        """What a person should know of the policy before it decides anything: modes that no plan has."""
        policy = self.steering().policy
        return [] if policy is None else policy.doubts()

    def _is_covered(self, symbol: str, side: Side) -> bool:
        config = self._config.symbols.get(symbol)
        return config is None or config.plan_name(side) is None

    def _policy(self) -> Policy:
        assert self._config.policy is not None
        matrices = self._matrices()
        default = self._config.policy.profile
        for where, profile in self._profiles():
            if profile not in matrices:
                raise PolicyError(
                    f"{where}: there is no profile {profile!r}; {', '.join(sorted(matrices))}"
                )

        def profile_for(symbol: str, side: Side) -> str:
            config = self._config.symbols.get(symbol)
            return (config and config.profile_name(side)) or default

        return Policy(
            matrices=matrices,
            plans=self._plans_by_mode(matrices),
            profile_for=profile_for,
            on_change=self._config.policy.on_regime_change,
        )

    def _profiles(self) -> Iterator[tuple[str, str]]:
        assert self._config.policy is not None
        yield "policy.profile", self._config.policy.profile
        for symbol, config in self._config.symbols.items():
            for key in ("profile", "long_profile", "short_profile"):
                profile = getattr(config, key)
                if profile is not None:
                    yield f"symbols.{symbol}.{key}", profile

    def _matrices(self) -> dict[str, Matrix]:
        assert self._config.policy is not None
        matrices = shipped_matrices()
        for name, tables in self._config.policy.matrices.items():
            matrices[name] = matrix_from_tables(tables, source=f"policy.matrices.{name}")
        return matrices

    def _modes(self) -> list[str]:
        """Every mode that has a plan: those that the configuration maps, and all shipped plans."""
        assert self._config.policy is not None
        return sorted({*self._config.policy.plans, *shipped_plan_names()})

    def _plan_of_mode(self, mode: str) -> str:
        assert self._config.policy is not None
        return self._config.policy.plans.get(mode, mode)

    def _plans_by_mode(self, matrices: Mapping[str, Matrix]) -> dict[str, Plan]:
        plans = {mode: self.named(self._plan_of_mode(mode)) for mode in self._modes()}
        _refuse_namesakes(plans)
        used = {
            mode
            for _, profile in self._profiles()
            for mode in (*matrices[profile].modes.values(), matrices[profile].unknown)
        }
        triggers = {plans[mode].trigger: plans[mode].name for mode in used if mode in plans}
        if self._trigger is None and len(triggers) > 1:
            said = ", ".join(f"{name} at {trigger}" for trigger, name in sorted(triggers.items()))
            raise PolicyError(f"the plans of a policy must look at one price source; {said}")
        # A plan that only an outside policy can ask for follows the others.
        trigger = self._trigger or next(iter(triggers), "mark")
        return {
            mode: msgspec.structs.replace(plan, trigger=trigger) for mode, plan in plans.items()
        }


def _refuse_namesakes(plans: Mapping[str, Plan]) -> None:
    """A change between two plans is seen by their names.

    Raises:
        PolicyError: two modes' plans differ and have the same name.
    """
    modes: dict[str, str] = {}
    for mode, plan in sorted(plans.items()):
        other = modes.setdefault(plan.name, mode)
        if plans[other] != plan:
            raise PolicyError(
                f"policy.plans: the plans of {other} and {mode} differ and are both named {plan.name!r};"
                " give one of them another name"
            )
