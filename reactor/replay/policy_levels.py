"""The mode that an exit policy gives a regime and a volatility: what `reactor levels --regime …` shows."""

from pathlib import Path
from typing import NamedTuple

from reactor.core.policy import FALLBACK_MODE, matrix_from_tables
from reactor.core.regime import Regime, Volatility
from reactor.errors import ConfigError
from reactor.plans import shipped_plan_names
from reactor.policies import read_policy_tables, shipped_matrices
from reactor.replay.lines import Line

DEFAULT_PROFILE = "SAFE"


class ChosenMode(NamedTuple):
    """What a policy says of one case.

    Attributes:
        mode: as the matrix has it. `plan`: the plan that it is.
        profile, regime, volatility: the case. `why`: one sentence.
    """

    mode: str
    plan: str
    profile: str
    regime: str
    volatility: str
    why: str

    def line(self) -> Line:
        """Its part of the JSON object."""
        return {
            "mode": self.mode,
            "profile": self.profile,
            "regime": self.regime,
            "volatility": self.volatility,
            "why": self.why,
        }


def chosen_mode(
    *, regime: str | None, volatility: str | None, profile: str | None, file: Path | None
) -> ChosenMode:
    """Looks a case up.

    Args:
        regime: NORMAL where None is given.
        volatility: NORMAL where None is given.
        profile: a shipped profile's name.
        file: a policy file instead.

    Raises:
        ConfigError: there is no such profile, or both a profile and a file are given.
        PolicyError: the file is refused.
    """
    matrices = shipped_matrices()
    if file is not None:
        if profile is not None:
            raise ConfigError("--policy is a profile of its own; leave --profile out")
        matrix = matrix_from_tables(read_policy_tables(file), source=str(file))
    else:
        name = (profile or DEFAULT_PROFILE).upper()
        if name not in matrices:
            raise ConfigError(
                f"--profile {name!r}: there is no such profile; {', '.join(matrices)}"
            )
        matrix = matrices[name]
    seen, size = Regime(regime or "NORMAL"), Volatility(volatility or "NORMAL")
    mode = matrix.mode(seen, size)
    plan = mode if mode in shipped_plan_names() else FALLBACK_MODE
    why = f"{matrix.name}: {seen}, volatility {size} → {mode}"
    if plan != mode:
        why += f", which no shipped plan is; {plan} is used"
    return ChosenMode(mode, plan, matrix.name, str(seen), str(size), why)
