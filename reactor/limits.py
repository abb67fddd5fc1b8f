"""Every bound, its unit in its name and its reason beside it.

A bound that is reached is never silent: whoever keeps it counts and reports what it cost.
"""

from decimal import Decimal
from typing import Final

# What one message may be --------------------------------------------------------------------------

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""One WebSocket message. The largest real one, `!ticker@arr` of 700 symbols, has 250 kB."""

REST_BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""One REST body. exchangeInfo had 1.2 MB in 2026; a runaway answer must not eat the memory."""

EXCERPT_CHARS_MAX: Final = 120
"""What a report shows of a message that could not be read: one line of a terminal."""

REASON_CHARS_MAX: Final = 200
"""One sentence. Reasons quote what was sent, and what was sent may be anything."""

FAILURE_TEXT_CHARS_MAX: Final = 300
"""Binance's longest error texts are under 200 characters; HTML error pages are not."""

# What a number may be -----------------------------------------------------------------------------

PRICE_TEXT_LENGTH_MAX: Final = 40
"""Prices on the wire have at most 17 characters; entry prices, which are quotients, up to 24."""

PRICE_MIN: Final = Decimal("1e-12")
"""Four powers of ten below the smallest tick that Binance lists (1e-8)."""

PRICE_MAX: Final = Decimal("1e12")
"""Six powers of ten above the dearest contract. Beyond it a number is damage, not a price."""

AMOUNT_ABS_MAX: Final = Decimal("1e18")
"""Quantities, balances, notionals. A day's quote volume of the whole exchange is about 1e11."""

TIME_MS_MAX: Final = 4_102_444_800_000
"""2100-01-01. A time in microseconds, or a damaged one, must not close a century of candles."""

ID_MAX: Final = 2**63 - 1
"""Order, trade and update ids are signed 64-bit numbers at the exchange."""

SYMBOL_LENGTH_MAX: Final = 40
"""The longest listed symbol has 20 characters; they may be non-ASCII."""

# What may be sent ---------------------------------------------------------------------------------

EXIT_SLICES_MAX: Final = 50
"""Orders that one exit is cut into: a sixth of the account's 300 orders in 10 s. The rest follows
when these are done, since a full close is pursued until the position is flat."""

STREAMS_PER_CONNECTION_MAX: Final = 1024
"""Binance's own limit, since 2025-07."""
