"""The exchange's limits as a purse: what has been spent, what is held back for exits, and until when we are banned.

Limits are Binance's (binance general info: REQUEST_WEIGHT 2400 a minute per address; ORDERS 300 in 10 s and 1200 a
minute per account, over REST and WebSocket API alike). Windows are aligned to the exchange's minutes and ten
seconds. The exchange's own count, from `X-MBX-USED-WEIGHT-1M` and its like, replaces ours whenever it comes:
others may use the same address and the same account.

Who may spend how much of a limit:

- exits: all of it, and they go on under a ban, since nothing else can make an open position safe;
- protection (hard stops): 95 % of the weight and half the orders. The other half, 150 orders in 10 s, is three
  exits of 50 slices, the most that one exit is cut into;
- the account's own questions: `share` of the weight (80 % unless configured);
- polling blind symbols: nine tenths of that share;
- history: three quarters of it;
- everything else: half of it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

Purpose = Literal["exit", "protect", "account", "poll", "history", "info"]

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
TEN_SECONDS_NS: Final = 10 * SECOND_NS

WEIGHT_PER_MINUTE: Final = 2400
ORDERS_PER_MINUTE: Final = 1200
ORDERS_PER_10S: Final = 300

PROTECT_WEIGHT_SHARE: Final = 0.95
PROTECT_ORDER_SHARE: Final = 0.5
PART_OF_SHARE: Final[Mapping[str, float]] = {
    "account": 1.0,
    "poll": 0.9,
    "history": 0.75,
    "info": 0.5,
}

UNBANNABLE: Final = frozenset({"exit", "protect"})
"""What goes on while banned."""

BAN_MS_MAX: Final = 3 * 24 * 3_600_000 + 60_000
"""The longest ban that Binance documents is three days. A later time in a text is damage."""

PAUSE_AFTER_418_NS: Final = 2 * MINUTE_NS
"""The shortest ban; taken where a 418 names no time."""

TOO_MANY_REQUESTS: Final = -1003
TOO_MANY_ORDERS: Final = -1015

_BANNED_UNTIL: Final = re.compile(r"banned until (\d{13})\b")


class _Window:
    """One counter over aligned windows of a fixed length."""

    __slots__ = ("length_ns", "limit", "start_ns", "used")

    def __init__(self, limit: int, length_ns: int) -> None:
        self.limit = limit
        self.length_ns = length_ns
        self.start_ns = 0
        self.used = 0

    def at(self, now_ns: int) -> int:
        """What is used at this instant."""
        return self.used if now_ns < self.start_ns + self.length_ns else 0

    def roll(self, now_ns: int) -> None:
        """Begins a new window where the last one is over."""
        if now_ns >= self.start_ns + self.length_ns:
            self.start_ns = now_ns - now_ns % self.length_ns
            self.used = 0

    def wait_ns(self, amount: int, part: float, now_ns: int, *, under_way: int = 0) -> int:
        """How long until this much fits below a part of the limit; 0 is now."""
        used = self.at(now_ns) + under_way
        # An empty window lets anything through: a request larger than its part must not wait for ever.
        if used == 0 or used + amount <= self.limit * part:
            return 0
        return min(self.length_ns, max(1, self.start_ns + self.length_ns - now_ns))


class BudgetState(Struct, frozen=True, kw_only=True):
    """How the budget stands, for screens.

    Attributes:
        weight_used, weight_limit: of this minute, as the exchange counts, with what is under way.
        orders_10s, orders_1m: of the current windows. `ban_left_ms`: 0 where there is none.
    """

    weight_used: int
    weight_limit: int
    orders_10s: int
    orders_10s_limit: int
    orders_1m: int
    orders_1m_limit: int
    ban_left_ms: int


class Budget:
    """The purse of one address and account. Times are the exchange's, ns since the epoch."""

    def __init__(
        self,
        *,
        share: float = 0.8,
        weight_per_minute: int = WEIGHT_PER_MINUTE,
        orders_per_minute: int = ORDERS_PER_MINUTE,
        orders_per_10s: int = ORDERS_PER_10S,
    ) -> None:
        """Opens a purse.

        Args:
            share: of the weight, for everything but exits and protection; above 0, up to 1.
            weight_per_minute: until `set_limits` knows better.
            orders_per_minute: likewise.
            orders_per_10s: likewise.
        """
        self._share = share
        self._weight = _Window(weight_per_minute, MINUTE_NS)
        self._orders_1m = _Window(orders_per_minute, MINUTE_NS)
        self._orders_10s = _Window(orders_per_10s, TEN_SECONDS_NS)
        self._under_way = 0
        self._counted_asked_ns = 0
        self.ban_until_ns = 0

    def wait_ns(self, purpose: Purpose, now_ns: int, *, weight: int = 0, orders: int = 0) -> int:
        """How long until this may leave.

        Args:
            purpose: what it is for.
            now_ns: exchange time.
            weight: its request weight.
            orders: how many orders it counts as.

        Returns:
            0 where it may leave now.
        """
        if purpose == "exit":
            return 0
        if purpose == "protect":
            return max(
                self._weight_wait_ns(weight, PROTECT_WEIGHT_SHARE, now_ns),
                self._orders_wait_ns(orders, now_ns),
            )
        part = self._share * PART_OF_SHARE[purpose]
        return max(
            self.ban_until_ns - now_ns,
            self._weight_wait_ns(weight, part, now_ns),
            self._orders_wait_ns(orders, now_ns),
        )

    def _weight_wait_ns(self, weight: int, part: float, now_ns: int) -> int:
        if not weight:
            return 0
        return self._weight.wait_ns(weight, part, now_ns, under_way=self._under_way)

    def _orders_wait_ns(self, orders: int, now_ns: int) -> int:
        if not orders:
            return 0
        return max(
            window.wait_ns(orders, PROTECT_ORDER_SHARE, now_ns)
            for window in (self._orders_10s, self._orders_1m)
        )

    def leave(self, now_ns: int, *, weight: int = 0, orders: int = 0) -> None:
        """A request leaves. Each with weight must be followed by one `came_back`."""
        self._weight.roll(now_ns)
        self._under_way += weight
        for window in (self._orders_10s, self._orders_1m):
            window.roll(now_ns)
            window.used += orders

    def came_back(
        self, now_ns: int, *, weight: int, asked_ns: int, headers: Mapping[str, str] | None = None
    ) -> None:
        """A request is over, answered or not.

        Args:
            now_ns: exchange time.
            weight: as given to `leave`.
            asked_ns: when it left; of two answers that overtake each other the later question counts.
            headers: the answer's, names in lower case; None without an answer, or where its count is not to
                be trusted.
        """
        self._under_way = max(0, self._under_way - weight)
        self._weight.roll(now_ns)
        counted = _count(headers, "x-mbx-used-weight-1m")
        if counted is None:
            self._weight.used += weight
        elif asked_ns >= self._counted_asked_ns:
            self._counted_asked_ns = asked_ns
            self._weight.used = counted
        for window, name in (
            (self._orders_10s, "x-mbx-order-count-10s"),
            (self._orders_1m, "x-mbx-order-count-1m"),
        ):
            orders = _count(headers, name)
            if orders is not None:
                # Orders under way are in ours and not in theirs: the larger number is the safe one.
                window.roll(now_ns)
                window.used = max(window.used, orders)

    def on_ws_limits(self, limits: Iterable[Mapping[str, Any]], now_ns: int) -> None:
        """Takes the `rateLimits` of a WebSocket-API answer; what is no limit in it is passed over."""
        for row in limits:
            window = self._window_of(
                row.get("rateLimitType"), row.get("interval"), row.get("intervalNum")
            )
            used = row.get("count")
            if window is not None and isinstance(used, int) and used >= 0:
                window.roll(now_ns)
                window.used = max(window.used, used)

    def set_limits(self, limits: Iterable[tuple[str, str, int, int]]) -> None:
        """Takes the exchange's own limits.

        Args:
            limits: type (REQUEST_WEIGHT, ORDERS), interval (SECOND, MINUTE), how many intervals, limit; from
                exchangeInfo or `rateLimit/order`. Unknown ones are passed over.
        """
        for kind, interval, number, limit in limits:
            window = self._window_of(kind, interval, number)
            if window is not None and limit > 0:
                window.limit = limit

    def _window_of(self, kind: object, interval: object, number: object) -> _Window | None:
        match kind, interval, number:
            case "REQUEST_WEIGHT", "MINUTE", 1:
                return self._weight
            case "ORDERS", "MINUTE", 1:
                return self._orders_1m
            case "ORDERS", "SECOND", 10:
                return self._orders_10s
        return None

    def on_refusal(
        self,
        now_ns: int,
        *,
        status: int,
        code: int | None,
        text: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        """The exchange refused something: where it says that we ask too much, everything but exits stops.

        Args:
            now_ns: exchange time.
            status: HTTP's.
            code: Binance's. 429, 418 and -1003 are about requests, -1015 about orders; everything else is
                passed over.
            text: Binance's; `IP banned until <ms>` names the time.
            retry_after_s: from the `Retry-After` header.
        """
        if code == TOO_MANY_ORDERS:
            # Which of the two limits it was is not said. The short one is over soon, and tells.
            self._orders_10s.roll(now_ns)
            self._orders_10s.used = max(self._orders_10s.used, self._orders_10s.limit)
            return
        if status not in {418, 429} and code != TOO_MANY_REQUESTS:
            return
        until_ns = 0
        named = _BANNED_UNTIL.search(text)
        if named and int(named[1]) - now_ns // 1_000_000 <= BAN_MS_MAX:
            until_ns = int(named[1]) * 1_000_000
        elif retry_after_s is not None and 0 < retry_after_s * 1000 <= BAN_MS_MAX:
            until_ns = now_ns + round(retry_after_s * SECOND_NS)
        elif status == 418:
            until_ns = now_ns + PAUSE_AFTER_418_NS
        else:
            until_ns = now_ns - now_ns % MINUTE_NS + MINUTE_NS
        self.ban_until_ns = max(self.ban_until_ns, until_ns)

    def state(self, now_ns: int) -> BudgetState:
        """How it stands now."""
        return BudgetState(
            weight_used=self._weight.at(now_ns) + self._under_way,
            weight_limit=self._weight.limit,
            orders_10s=self._orders_10s.at(now_ns),
            orders_10s_limit=self._orders_10s.limit,
            orders_1m=self._orders_1m.at(now_ns),
            orders_1m_limit=self._orders_1m.limit,
            ban_left_ms=max(0, self.ban_until_ns - now_ns) // 1_000_000,
        )


def _count(headers: Mapping[str, str] | None, name: str) -> int | None:
    value = (headers or {}).get(name, "")
    # A number of ten and more digits is damage.
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None
