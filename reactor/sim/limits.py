"""Rate limits: request weight per address, orders per account, and the ban for not listening.

Windows are aligned to the clock's minute and ten seconds, as `X-MBX-USED-WEIGHT-1M` shows them.
Source: binance.md §7.
"""

from dataclasses import dataclass

from reactor.sim.refusals import Refusal

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000
BAN_MS_MAX = 3 * 24 * 3_600_000
ADDRESSES_MAX = 1000  # forget the oldest; this runs on loopback


@dataclass(slots=True)
class Limits:
    """The limits in force; the control door may change them.

    ``refusals_until_ban`` is how many 429 answers in one window an address may ignore.
    """

    weight_per_minute: int = 2400
    orders_per_minute: int = 1200
    orders_per_10s: int = 300
    refusals_until_ban: int = 10
    ban_ms: int = 120_000


@dataclass(slots=True)
class _Window:
    minute: int = -1
    used: int = 0
    refusals: int = 0
    banned_until_ms: int = 0
    bans: int = 0


@dataclass(slots=True)
class _OrderWindow:
    minute: int = -1
    in_minute: int = 0
    ten: int = -1
    in_ten: int = 0


class RateBook:
    """Counts what was spent. Time is an argument."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._weights: dict[str, _Window] = {}
        self._orders: dict[str, _OrderWindow] = {}

    def _window(self, ip: str, now_ms: int) -> _Window:
        window = self._weights.get(ip)
        if window is None:
            if len(self._weights) >= ADDRESSES_MAX:
                self._weights.pop(next(iter(self._weights)))
            window = self._weights[ip] = _Window()
        minute = now_ms // MINUTE_MS
        if window.minute != minute:
            window.minute, window.used, window.refusals = minute, 0, 0
        return window

    def used_weight(self, ip: str, now_ms: int) -> int:
        """Return the weight an address has spent in this minute."""
        return self._window(ip, now_ms).used

    def check_ban(self, ip: str, now_ms: int) -> None:
        """Refuse with 418 while an address is banned."""
        window = self._window(ip, now_ms)
        if now_ms < window.banned_until_ms:
            raise self._banned(ip, window.banned_until_ms, now_ms)

    def ban(self, ip: str, until_ms: int) -> None:
        """Ban an address until a time, ms since the epoch."""
        self._weights.setdefault(ip, _Window()).banned_until_ms = until_ms

    def spend_weight(self, ip: str, weight: int, now_ms: int) -> None:
        """Count a request, or refuse it: 429 over the limit, 418 for going on regardless."""
        self.check_ban(ip, now_ms)
        window = self._window(ip, now_ms)
        window.used += weight
        if window.used <= self.limits.weight_per_minute:
            return
        window.refusals += 1
        if window.refusals > self.limits.refusals_until_ban:
            span = min(self.limits.ban_ms << window.bans, BAN_MS_MAX)
            window.bans = min(window.bans + 1, 16)
            window.banned_until_ms = now_ms + span
            raise self._banned(ip, window.banned_until_ms, now_ms)
        refusal = Refusal(-1003, ip=ip, limit=self.limits.weight_per_minute)
        refusal.headers["Retry-After"] = str(max(1, 60 - now_ms // 1000 % 60))
        raise refusal

    @staticmethod
    def _banned(ip: str, until_ms: int, now_ms: int) -> Refusal:
        refusal = Refusal(
            -1003,
            status=418,
            text=f"Way too many requests; IP({ip}) banned until {until_ms}. "
            "Please use the websocket for live updates to avoid bans.",
        )
        refusal.headers["Retry-After"] = str(max(1, (until_ms - now_ms) // 1000))
        return refusal

    def order_counts(self, account: str, now_ms: int) -> tuple[int, int]:
        """Return (orders in these ten seconds, orders in this minute) of an account."""
        window = self._orders.setdefault(account, _OrderWindow())
        if window.minute != now_ms // MINUTE_MS:
            window.minute, window.in_minute = now_ms // MINUTE_MS, 0
        if window.ten != now_ms // TEN_SECONDS_MS:
            window.ten, window.in_ten = now_ms // TEN_SECONDS_MS, 0
        return window.in_ten, window.in_minute

    def spend_orders(self, account: str, count_10s: int, count_1m: int, now_ms: int) -> None:
        """Count orders, or refuse them with -1015."""
        in_ten, in_minute = self.order_counts(account, now_ms)
        if in_ten + count_10s > self.limits.orders_per_10s:
            raise Refusal(-1015, limit=self.limits.orders_per_10s, interval="TEN_SECONDS")
        if in_minute + count_1m > self.limits.orders_per_minute:
            raise Refusal(-1015, limit=self.limits.orders_per_minute, interval="ONE_MINUTE")
        window = self._orders[account]
        window.in_ten += count_10s
        window.in_minute += count_1m

    def as_rate_limits(self) -> list[dict[str, object]]:
        """Return exchangeInfo's ``rateLimits``."""
        return [
            _row("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_per_minute),
            *self.as_order_limits(),
        ]

    def as_order_limits(self) -> list[dict[str, object]]:
        """Return the account's own order limits."""
        return [
            _row("ORDERS", "MINUTE", 1, self.limits.orders_per_minute),
            _row("ORDERS", "SECOND", 10, self.limits.orders_per_10s),
        ]


def _row(kind: str, interval: str, number: int, limit: int) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
