"""Which of the account's positions are ours to guard, and whether exits are real or only told.

A position is looked at when its epoch would open; once guarded it stays guarded until it is flat, whatever
its size becomes.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from reactor.core.decisions import Side
from reactor.core.exact import ZERO, add, subtract


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
    """The sizes of positions whose exits only happened in our books.

    A position's real size is kept from when we take it until it is flat: longer than our own epoch, where
    that was closed virtually.
    """

    def __init__(self) -> None:
        self._real: dict[tuple[str, Side], Decimal] = {}

    def __contains__(self, key: object) -> bool:
        """Whether a position was taken and is not flat yet, whatever our books say of it."""
        return key in self._real

    def forget(self, symbol: str, side: Side) -> None:
        """A position is flat, or none of ours."""
        self._real.pop((symbol, side), None)

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
            real: as the exchange reports it, positive.
            held: what is open in our books, or waits there for a price; None without either.

        Returns:
            0 where it was closed in our books: that it is really there changes nothing. Else what is held
            with what others added; what they took comes off what we had taken virtually first.
        """
        key = (symbol, side)
        before = self._real.get(key)
        self._real[key] = real
        if before is None:
            return real
        if held is None:
            return ZERO
        return add(held, subtract(real, before)) if real >= before else min(held, real)
