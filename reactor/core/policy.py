"""The exit policy: regime, volatility and profile choose an exit mode, which is the name of a plan.

A matrix is data: one mode for every regime and volatility. `matrix_from_tables` refuses one that leaves a
case open, and names the key. `Policy` answers for a position which mode it should have now and why: what came
from outside (a desk, a bus) counts until it expires, else the classifier's verdict in the position's profile.
A mode that no plan has falls back to `trend_follow` and says so; it never blocks.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from reactor.core.decisions import Side
from reactor.core.plan import Plan
from reactor.core.regime import Regime, Verdict, Volatility
from reactor.errors import PolicyError

FALLBACK_MODE = "trend_follow"
"""What a mode that nobody knows becomes."""

ANY = "any"
"""The key of a regime whose volatility does not matter."""

OnRegimeChange = Literal["keep", "tighten"]
"""What a changed mode does to an open position: nothing, or what protects it better."""

KNOWN_REGIMES: tuple[Regime, ...] = tuple(
    regime for regime in Regime if regime is not Regime.UNKNOWN
)

EXTERNAL_MAX = 1000
"""Symbols that were spoken of from outside; the oldest is forgotten. There are some 700 contracts."""


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """One profile's modes.

    Attributes:
        name: the profile.
        modes: the mode of every known regime and volatility.
        unknown: the mode while there is no verdict.
    """

    name: str
    modes: dict[tuple[Regime, Volatility], str]
    unknown: str = FALLBACK_MODE

    def mode(self, regime: Regime, volatility: Volatility) -> str:
        """The mode of a case; every case has one."""
        return self.unknown if regime is Regime.UNKNOWN else self.modes[regime, volatility]


def matrix_from_tables(tables: Any, *, source: str) -> Matrix:
    """Reads a policy file's tables.

    Args:
        tables: as TOML gives them: `name`, `unknown`, and for each regime a table of modes by volatility (or
            `any`).
        source: what messages name it by.

    Raises:
        PolicyError: a regime or volatility is missing or unknown, or a mode is no name; the key is named.
    """
    if not isinstance(tables, Mapping):
        raise PolicyError(f"{source}: not a policy: expected tables of modes by regime")
    name = tables.get("name")
    if not isinstance(name, str) or not name:
        raise PolicyError(f'{source}: name: needs the profile\'s name, as in name = "SAFE"')
    unknown = _mode(tables.get("unknown", FALLBACK_MODE), f"{source}: unknown")
    for key in tables:
        if key not in {"name", "unknown", *KNOWN_REGIMES}:
            raise PolicyError(
                f"{source}: {key}: there is no such regime; {', '.join(KNOWN_REGIMES)}"
            )
    modes = {}
    for regime in KNOWN_REGIMES:
        if regime not in tables:
            raise PolicyError(
                f"{source}: {regime}: has no modes; give NORMAL, HIGH, EXTREME or any"
            )
        for volatility, mode in _row(tables[regime], f"{source}: {regime}"):
            modes[regime, volatility] = mode
    return Matrix(name=name, modes=modes, unknown=unknown)


def _row(row: Any, where: str) -> Iterator[tuple[Volatility, str]]:
    if not isinstance(row, Mapping):
        raise PolicyError(f"{where}: expected a table of modes by volatility")
    for key in row:
        if key not in {ANY, *Volatility}:
            raise PolicyError(
                f"{where}.{key}: there is no such volatility; {', '.join(Volatility)}, any"
            )
    if ANY in row and len(row) > 1:
        raise PolicyError(f"{where}.{ANY}: stands for all volatilities; leave the others out")
    for volatility in Volatility:
        key = ANY if ANY in row else volatility.value
        if key not in row:
            raise PolicyError(
                f'{where}.{key}: has no mode; name one, as in {key} = "{FALLBACK_MODE}"'
            )
        yield volatility, _mode(row[key], f"{where}.{key}")


def _mode(mode: Any, where: str) -> str:
    if not isinstance(mode, str) or not mode:
        raise PolicyError(f'{where}: a mode is the name of a plan, as in "{FALLBACK_MODE}"')
    return mode


class ExternalPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody outside says about a symbol, or one side of it.

    Attributes:
        symbol: the contract; `*` is every one. `side`: None for both.
        mode: the exit mode; None leaves it to the matrix.
        regime: a regime instead of the classifier's, or a tag that is only shown.
        note: why, in words.
        expires_ns: from this receive time on it counts no more; None for never.
    """

    symbol: str
    side: Side | None = None
    mode: str | None = None
    regime: str | None = None
    note: str = ""
    expires_ns: int | None = None

    def counts(self, symbol: str, side: Side, now_ns: int) -> bool:
        """Whether it speaks of this position now."""
        return (
            self.symbol in {symbol, "*"}
            and self.side in {None, side}
            and (self.expires_ns is None or now_ns < self.expires_ns)
        )


class Choice(NamedTuple):
    """What the policy wants for one position.

    Attributes:
        plan: the plan to be exited by. `mode`: the mode that was asked for; another name than the plan's
            where it was not known.
        profile: whose matrix it was.
        regime, volatility: what was looked up. `source`: `regime`, `external` or `unknown`.
        why: one sentence.
        warning: where a mode was not known; empty otherwise.
    """

    plan: Plan
    mode: str
    profile: str
    regime: str
    volatility: str
    source: Literal["regime", "external", "unknown"]
    why: str
    warning: str


class Policy:
    """Chooses plans; knows what was said from outside.

    Attributes:
        on_change: what a changed mode does to an open position.
        external: what was said from outside, newest last.
    """

    def __init__(
        self,
        *,
        matrices: Mapping[str, Matrix],
        plans: Mapping[str, Plan],
        profile_for: Callable[[str, Side], str],
        on_change: OnRegimeChange = "tighten",
    ) -> None:
        """Knows nothing from outside yet.

        Args:
            matrices: by profile.
            plans: by mode; `trend_follow` must be among them.
            profile_for: the profile of a symbol and side, one of `matrices`.
            on_change: what a changed mode does to an open position.
        """
        assert FALLBACK_MODE in plans
        self._matrices = matrices
        self._plans = plans
        self._profile_for = profile_for
        self.on_change: OnRegimeChange = on_change
        self.external: list[ExternalPolicy] = []

    @property
    def plans(self) -> Iterator[Plan]:
        """Every plan that a position may get."""
        yield from self._plans.values()

    def say(self, external: ExternalPolicy, *, now_ns: int) -> None:
        """Takes what is said from outside; it replaces what was said before of the same symbol and side.

        One without mode and regime takes back what was said.
        """
        self.external = [
            said
            for said in self.external
            if (said.symbol, said.side) != (external.symbol, external.side)
            and (said.expires_ns is None or now_ns < said.expires_ns)
        ]
        if external.mode is not None or external.regime is not None:
            self.external.append(external)
        del self.external[:-EXTERNAL_MAX]

    def doubt(self, mode: str | None) -> str:
        """A warning where no plan has this name; empty where one has, or none is asked for."""
        if mode is None or mode in self._plans:
            return ""
        return f"there is no exit mode {mode[:60]!r}; {FALLBACK_MODE} is used"

    def doubts(self) -> list[str]:
        """A warning for each mode of the matrices in use that no plan has, with its profile."""
        return [
            f"policy {name}: {self.doubt(mode)}"
            for name, matrix in sorted(self._matrices.items())
            for mode in sorted({*matrix.modes.values(), matrix.unknown})
            if mode not in self._plans
        ]

    def due_ns(self, now_ns: int) -> int | None:
        """When the next thing that was said from outside expires; None where nothing does."""
        times = [said.expires_ns for said in self.external if said.expires_ns is not None]
        return min((time for time in times if time > now_ns), default=None)

    def choose(self, symbol: str, side: Side, verdict: Verdict, *, now_ns: int) -> Choice:
        """The plan of a position, and why.

        Args:
            symbol: the contract.
            side: LONG or SHORT.
            verdict: the classifier's.
            now_ns: the present receive time.
        """
        profile = self._profile_for(symbol, side)
        matrix = self._matrices[profile]
        said = self._said(symbol, side, now_ns)
        regime, volatility = verdict.state
        source: Literal["regime", "external", "unknown"] = (
            "unknown" if regime is Regime.UNKNOWN else "regime"
        )
        tag = str(regime)
        if said is not None and said.regime is not None:
            source, tag = "external", said.regime
            named = said.regime.strip().upper().replace("-", "_")
            # A tag of another vocabulary is shown; it chooses nothing.
            regime = Regime(named) if named in KNOWN_REGIMES else regime
        mode = matrix.mode(regime, volatility)
        why = f"{profile}: {tag}, volatility {volatility}"
        if source == "unknown":
            why = f"{profile}: no regime yet"
        if said is not None:
            source = "external"
            mode = said.mode or mode
            why = f"from outside{f' ({said.note})' if said.note else ''}: {said.mode or tag}"
        return Choice(
            plan=self._plans.get(mode) or self._plans[FALLBACK_MODE],
            mode=mode,
            profile=profile,
            regime=tag,
            volatility=str(volatility),
            source=source,
            why=why,
            warning=self.doubt(mode),
        )

    def _said(self, symbol: str, side: Side, now_ns: int) -> ExternalPolicy | None:
        """What counts of this position: of the nearest kind (symbol and side, symbol, all), the newest."""
        counting = [said for said in self.external if said.counts(symbol, side, now_ns)]
        return max(
            reversed(counting),
            key=lambda said: (said.symbol == symbol, said.side is not None),
            default=None,
        )
