"""What of an earlier process's journal this one may take over: it has to be of the same exchange and the same kind.

A journal's epochs speak of positions by symbol and side alone. Those of another environment, of a dry run, or of
an instance of another name are not the positions that are open here, however alike they look; a stop of theirs
could close one at once.
"""

from typing import Final

import msgspec

from reactor.config import Config
from reactor.core.epoch_state import EpochState
from reactor.errors import ConfigError
from reactor.shell.journal.state import JournalState

NOTE: Final = "session"
"""The journal's note that says whose it is."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a journal is.

    Attributes:
        environment: the exchange's name: mainnet, demo, simulated.
        instance: what order ids are made of.
        is_live: whether its exits really left; those of a dry run only happened in its books.
    """

    environment: str
    instance: str
    is_live: bool


class Inherited(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken over.

    Attributes:
        epochs: open ones, one for each position. `dropped`: open ones that are not, and why, for people.
        virtual: whether a dry run's sizes are of use.
    """

    epochs: tuple[EpochState, ...]
    dropped: tuple[tuple[EpochState, str], ...]
    virtual: bool


def session_of(config: Config, environment: str) -> Session:
    """What this process's journal will say."""
    return Session(environment=environment, instance=config.instance, is_live=config.mode == "live")


def inherit(left: JournalState, config: Config, environment: str) -> Inherited:
    """Looks through what an earlier process left.

    Args:
        left: its journal.
        config: of this process.
        environment: the name of this one's exchange.

    Raises:
        ConfigError: going on from it would lose or confuse what protects positions.
    """
    now = session_of(config, environment)
    before = _session(left) or now
    names = ", ".join(f"{state.symbol} {state.side}" for state in left.open_epochs)
    if before.environment != now.environment:
        raise ConfigError(
            f"the journal in data_dir = {config.data_dir!r} is of the environment"
            f" {before.environment!r}, this run's is {now.environment!r}; give each a data_dir of its own"
        )
    if before.is_live and not now.is_live and names:
        raise ConfigError(
            f"the journal in data_dir = {config.data_dir!r} keeps the state of what a live run guards ({names});"
            " a dry run would overwrite it: give it a data_dir of its own, or start with --live"
        )
    if before.is_live and before.instance != now.instance and names:
        raise ConfigError(
            f"the open positions of the journal ({names}) are those of the instance {before.instance!r}, and"
            f" this one is {now.instance!r}: their orders could not be found; keep the name until they are flat"
        )
    kept: dict[tuple[str, str], EpochState] = {}
    dropped: list[tuple[EpochState, str]] = []
    for state in sorted(left.open_epochs, key=lambda state: state.epoch):
        if now.is_live and not before.is_live:
            dropped.append(
                (state, "it was a dry run's, whose exits never left; it is adopted anew")
            )
        elif not config.manage.covers(state.symbol, state.side):
            dropped.append((state, "the configuration does not manage it any more"))
        else:
            older = kept.pop(state.key, None)
            if older is not None:
                dropped.append((older, "a later epoch of the same position is open"))
            kept[state.key] = state
    return Inherited(
        epochs=tuple(kept.values()), dropped=tuple(dropped), virtual=not before.is_live
    )


def _session(left: JournalState) -> Session | None:
    """What the journal says of itself; None for a fresh one."""
    try:
        return msgspec.json.decode(left.notes.get(NOTE, ""), type=Session)
    except msgspec.DecodeError:
        return None
