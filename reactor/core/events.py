"""What happens to the engine besides ticks: immutable values with exchange time and receive time."""

from decimal import Decimal
from typing import Literal

import msgspec

from reactor.core.decisions import Reason, Side

OnAdopt = Literal["from_price", "from_entry", "ignore"]
"""What adoption does with a position whose stop the price is at or through: the same distance from the price,
the stop as the plan says (it fires), or leave the position alone."""


class PositionReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the exchange says is open for one symbol and side.

    Attributes:
        quantity: in base units, 0 when flat. `entry`: average entry price, in quote units.
        t_event_ms: the exchange's transaction time. `t_ns`: receive time.
        liquidation_price, margin: of the whole position, where known.
        cause: why it became flat, where the reporter knows; a flat position ends its epoch so named.
        snapshot: whether this is an answer to a question (younger than every order known to be done).
        adopted: whether a position that is not known was open before anybody watched it.
    """

    symbol: str
    side: Side
    quantity: Decimal
    entry: Decimal
    t_event_ms: int
    t_ns: int
    liquidation_price: Decimal | None = None
    margin: Decimal | None = None
    cause: Reason = Reason.EXTERNAL
    snapshot: bool = False
    adopted: bool = False
