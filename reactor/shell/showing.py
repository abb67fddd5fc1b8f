"""How positions stand, told to who watches: when a decision touched them, and once a second."""

from collections.abc import Callable, Mapping, Sequence

from reactor.audit import Audit, PositionGone, PositionSeen
from reactor.core.decisions import Decision, Side
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.machine import Machine
from reactor.shell.position_view import position_seen

Key = tuple[str, Side]


class Showing:
    """Tells what changed since it was last told.

    Args:
        engine: whose positions are ours.
        audit: where it is told.
        unmanaged: gives the account's other positions.
        sources: where a symbol's prices come from, where that is not the stream.
        protections: the names of the positions' states of protection.
    """

    def __init__(
        self,
        engine: Engine,
        audit: Audit,
        *,
        unmanaged: Callable[[], Mapping[Key, PositionReport]],
        sources: Mapping[str, str],
        protections: Mapping[Key, str],
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._unmanaged = unmanaged
        self._sources = sources
        self._protections = protections
        self._seen: dict[Key, PositionSeen] = {}

    def all(self, t_ns: int) -> None:
        """Every position, ours and others', and those that are gone."""
        for machine in self._engine.positions.values():
            self.one(machine, t_ns)
        unmanaged = self._unmanaged()
        for (symbol, side), report in unmanaged.items():
            seen = PositionSeen(
                symbol=symbol,
                side=side,
                managed=False,
                quantity=report.quantity,
                entry=report.entry,
            )
            self._publish(seen, t_ns)
        open_now = {*self._engine.positions, *unmanaged}
        for key in tuple(self._seen):
            if key not in open_now:
                self._gone(key, t_ns)

    def touched(self, decisions: Sequence[Decision], t_ns: int) -> None:
        """The positions that these decisions are about."""
        for key in {(one.symbol, one.side) for one in decisions if one.side}:
            machine = self._engine.positions.get(key)
            if machine is not None:
                self.one(machine, t_ns)
            elif key in self._seen:
                self._gone(key, t_ns)

    def one(self, machine: Machine, t_ns: int) -> None:
        """One of ours."""
        market = self._engine.market(machine.plan.trigger, machine.symbol)
        if market is None:
            return
        seen = position_seen(
            machine,
            market,
            source=self._sources.get(machine.symbol, "stream"),
            now_ns=t_ns,
            protection=self._protections.get((machine.symbol, machine.side), ""),
        )
        self._publish(seen, t_ns)

    def _publish(self, seen: PositionSeen, t_ns: int) -> None:
        key = seen.symbol, seen.side
        if self._seen.get(key) != seen:
            self._seen[key] = seen
            self._audit.publish(seen, t_ns=t_ns)

    def _gone(self, key: Key, t_ns: int) -> None:
        del self._seen[key]
        self._audit.publish(PositionGone(symbol=key[0], side=key[1]), t_ns=t_ns)
