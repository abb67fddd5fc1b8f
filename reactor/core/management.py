"""Which of the account's positions are ours to guard, and whether exits are real or only told.

A position is looked at when its epoch would open; once guarded it stays guarded until it is flat, whatever
its size becomes.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from reactor.core.decisions import Side


def everything(_symbol: str, _side: Side, _quantity: Decimal, _entry: Decimal) -> bool:
    """Manages every position: recordings without a manage list of their own."""
    return True


class Management(msgspec.Struct, frozen=True, kw_only=True):
    """How one account's positions are taken.

    Attributes:
        manages: whether a position (symbol, side, quantity, entry) is ours.
        virtual: whether exits only happen in our books (dry run). A virtual position follows what others do to
            the real one, and once closed stays closed until the real one is flat.
        reported: whether position reports are certain to come, so that trades alone never move a position.
    """

    manages: Callable[[str, Side, Decimal, Decimal], bool] = everything
    virtual: bool = False
    reported: bool = False


class VirtualPositions:
    """The sizes of positions whose exits only happened in our books."""

    def __init__(self) -> None:
        # What the exchange last said, for positions that we guard or have closed virtually.
        self._real: dict[tuple[str, Side], Decimal] = {}

    def know(self, symbol: str, side: Side, real: Decimal) -> None:
        """Takes what an earlier process knew of a real position."""
        self._real[symbol, side] = real

    def real(self) -> dict[tuple[str, Side], Decimal]:
        """The real sizes that are known, for the next process."""
        return dict(self._real)

    def size(self, symbol: str, side: Side, real: Decimal, held: Decimal | None) -> Decimal:
        """The size that our books take for a reported one.

        Args:
            symbol: the contract.
            side: the position's side.
            real: as the exchange reports it; 0 is flat.
            held: what is open in our books; None without an epoch.
        """
        key = (symbol, side)
        before = self._real.get(key)
        if not real:
            self._real.pop(key, None)
            return real
        self._real[key] = real
        if before is None:
            return real
        if held is None:
            # Closed in our books; the real one is still there.
            return Decimal(0)
        return held + (real - before) if real >= before else min(held, real)
