"""The whole exchange as one state that time and requests move; no sockets, no clock, no threads.

``advance(now_ms)`` lets time pass: prices move, stops trigger, funding is paid, keys expire. Requests
and the control door act at the present moment. Whatever the world should see is collected in
``out``: market frames by stream name and user events by account. Same seed, same calls: same bytes.
"""

import copy
import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

import msgspec
import orjson

from reactor.sim import algo, funding, liquidation, matching
from reactor.sim.account import Account
from reactor.sim.events import listen_key_expired
from reactor.sim.faults import Faults
from reactor.sim.limits import Limits, RateBook
from reactor.sim.market import Market
from reactor.sim.model import AlgoOrder, Credential
from reactor.sim.publishing import Publisher
from reactor.sim.refusals import Refusal
from reactor.sim.symbols import SymbolRules, default_symbols

LISTEN_KEY_MS = 60 * 60_000
SNAPSHOTS_MAX = 200
KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class MarketFrame(msgspec.Struct, frozen=True, gc=False):
    """A frame for whoever subscribed to the stream."""

    stream: str
    payload: bytes
    symbol: str = ""


class UserEvent(msgspec.Struct, frozen=True, gc=False):
    """An event for an account's private streams. ``key`` is the listen key of that moment."""

    account: str
    event: str
    payload: bytes
    key: str
    symbol: str = ""


class PriceSource(Protocol):
    """Where prices come from: a scenario or a tape."""

    def next_due_ms(self) -> int | None:
        """Return when it wants to move prices next, or None when it is done."""
        ...

    def move(self, exchange: "Exchange") -> None:
        """Move prices; called at ``next_due_ms``."""
        ...


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be chosen when an exchange is made. Times in ms."""

    seed: int = 1
    hedge: bool = False
    wallet: Decimal = Decimal(100_000)
    api_key: str = "sim-key"
    api_secret: str = "sim-secret"  # noqa: S105 -- a simulator's documented default
    listen_key_ms: int = LISTEN_KEY_MS
    connection_ms: int = 24 * 3_600_000
    ping_ms: int = 180_000
    trigger_ms: int = 10  # condition met -> order in the engine
    triggered_ms: int = 7  # order in the engine -> ALGO_UPDATE TRIGGERED, as recorded
    gte_expiry_ms: int = 5  # position closed -> its GTE orders expire


class Exchange:
    """The exchange's state and its passing of time."""

    def __init__(
        self,
        *,
        now_ms: int,
        settings: Settings | None = None,
        symbols: dict[str, SymbolRules] | None = None,
        prices: PriceSource | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.now_ms = now_ms
        self.skew_ms = 0
        self.maintenance_until_ms = 0
        self.random = random.Random(self.settings.seed)  # noqa: S311 -- simulation, not secrecy
        self.symbols = symbols or default_symbols()
        self.markets = {name: Market(rules, now_ms) for name, rules in self.symbols.items()}
        self.accounts: dict[str, Account] = {}
        self.credentials: dict[str, Credential] = {}
        self.rates = RateBook(Limits())
        # Faults draw from their own source, so that arming one does not change the prices.
        self.faults = Faults(random.Random(self.settings.seed + 1))  # noqa: S311
        self.prices = prices
        self.wanted: Counter[str] = Counter()
        self.out: list[MarketFrame | UserEvent] = []
        self.publisher = Publisher(self)
        self.resting: dict[str, int] = dict.fromkeys(self.symbols, 0)
        self.waiting: dict[str, dict[int, AlgoOrder]] = {name: {} for name in self.symbols}
        self.force_orders: deque[dict[str, Any]] = deque(maxlen=1000)
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._algo_ids = itertools.count(2_000_000_000_000_001)
        self._snapshots: dict[str, deque[tuple[int, Account]]] = {}
        self.add_account(
            "main",
            wallet=self.settings.wallet,
            hedge=self.settings.hedge,
        )
        self.add_key(
            Credential(self.settings.api_key, "main", "HMAC", self.settings.api_secret),
        )
        self.add_account("trader", wallet=Decimal(100_000_000))
        funding.start(self)

    # Accounts and keys

    def add_account(self, name: str, *, wallet: Decimal, hedge: bool = False) -> Account:
        """Open an account with a deposit in USDT."""
        account = self.accounts[name] = Account(name=name, hedge=hedge, updated_ms=self.now_ms)
        account.pay("TRANSFER", "", wallet, time_ms=self.now_ms, tran_id=self.next_id())
        return account

    def add_key(self, credential: Credential) -> None:
        """Give an account a key."""
        self.credentials[credential.api_key] = credential

    def next_id(self) -> int:
        """Return the next id of anything that needs one: transfers, automatic client ids."""
        return next(self._ids)

    def next_algo_id(self) -> int:
        """Return the next algo id: 16 digits, as live ones."""
        return next(self._algo_ids)

    def automatic_client_id(self) -> str:
        """Return the client id of an order that came without one."""
        return "".join(self.random.choices(KEY_LETTERS, k=22))

    # Time

    @property
    def server_ms(self) -> int:
        """The time that the exchange tells and checks against: skew included."""
        return self.now_ms + self.skew_ms

    def schedule(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later, in order of time and then of asking."""
        heapq.heappush(self._heap, (self.now_ms + max(0, delay_ms), next(self._order), action))

    def next_due_ms(self) -> int | None:
        """Return when something will happen by itself, or None."""
        due = self._heap[0][0] if self._heap else None
        price = self.prices.next_due_ms() if self.prices else None
        if due is None or (price is not None and price < due):
            return price
        return due

    def advance(self, now_ms: int) -> None:
        """Let time pass up to ``now_ms``, everything in its order at its exact time."""
        while (due := self.next_due_ms()) is not None and due <= now_ms:
            self.now_ms = max(self.now_ms, due)
            if self._heap and self._heap[0][0] <= due:
                heapq.heappop(self._heap)[2]()
            elif self.prices is not None:
                self.prices.move(self)
        self.now_ms = max(self.now_ms, now_ms)

    def drain(self) -> list[MarketFrame | UserEvent]:
        """Take what the world should see."""
        out, self.out = self.out, []
        return out

    # What the world sees

    def tell_market(self, stream: str, payload: bytes, symbol: str = "") -> None:
        """Publish a frame."""
        self.out.append(MarketFrame(stream, payload, symbol))

    def tell_user(self, account: Account, event: dict[str, Any]) -> None:
        """Send an event to an account's private streams, if its listen key lives."""
        if not account.listen_key:
            return
        order = event.get("o")
        symbol = order.get("s", "") if isinstance(order, dict) else event.get("s", "")
        self.out.append(
            UserEvent(
                account.name, str(event["e"]), orjson.dumps(event), account.listen_key, symbol
            )
        )

    # Prices

    def trade(self, symbol: str, price: Decimal, quantity: Decimal, *, buyer_maker: bool) -> None:
        """Print a trade: last price, candles, stops on the last price, resting orders."""
        market = self.markets[symbol]
        trade = market.trade(price, quantity, buyer_maker=buyer_maker, now_ms=self.server_ms)
        self.publisher.trade(market, trade)
        if self.waiting[symbol]:
            algo.on_price(self, market, "CONTRACT_PRICE", price)
        if self.resting[symbol]:
            matching.on_trade(self, market, price)

    def quote(
        self, symbol: str, bid: Decimal, bid_qty: Decimal, ask: Decimal, ask_qty: Decimal
    ) -> None:
        """Set the best bid and ask."""
        market = self.markets[symbol]
        market.quote(bid, bid_qty, ask, ask_qty)
        self.publisher.quote(market)
        if self.resting[symbol]:
            matching.on_quote(self, market)

    def mark(self, symbol: str, mark: Decimal, index: Decimal | None = None) -> None:
        """Set the mark price: stops on it, and liquidation."""
        market = self.markets[symbol]
        market.set_mark(mark, mark if index is None else index, self.server_ms)
        if self.waiting[symbol]:
            algo.on_price(self, market, "MARK_PRICE", mark)
        liquidation.check(self, market)

    def set_price(self, symbol: str, price: Decimal, *, mark: Decimal | None = None) -> None:
        """Move a symbol at once: book, a trade at the price, and the mark with it."""
        market = self.markets[symbol]
        market.quote_around(price)
        self.publisher.quote(market)
        self.trade(symbol, price, market.rules.step, buyer_maker=False)
        if self.resting[symbol]:
            matching.on_quote(self, market)
        self.mark(symbol, price if mark is None else mark)
        self.publisher.mark(market)

    # Listen keys

    def start_listen_key(self, account: Account) -> str:
        """Return the account's listen key: the living one extended, or a new one."""
        if not account.listen_key:
            account.listen_key = "".join(self.random.choices(KEY_LETTERS, k=64))
            self._watch_listen_key(account, account.listen_key)
        account.listen_key_until_ms = self.now_ms + self.settings.listen_key_ms
        return account.listen_key

    def keep_listen_key(self, account: Account) -> str:
        """Extend the account's listen key.

        Raises:
            Refusal: -1125, there is none.
        """
        if not account.listen_key:
            raise Refusal(-1125)
        account.listen_key_until_ms = self.now_ms + self.settings.listen_key_ms
        return account.listen_key

    def end_listen_key(self, account: Account, *, say: bool = True) -> None:
        """End the account's listen key; open sockets get one notice, then silence."""
        if not account.listen_key:
            return
        if say:
            self.tell_user(account, listen_key_expired(account.listen_key, time_ms=self.server_ms))
        account.listen_key = ""

    def _watch_listen_key(self, account: Account, key: str) -> None:
        def check() -> None:
            if account.listen_key != key:
                return
            left = account.listen_key_until_ms - self.now_ms
            if left <= 0:
                self.end_listen_key(account)
            else:
                self.schedule(left, check)

        self.schedule(self.settings.listen_key_ms, check)

    # REST that lags behind

    def remember(self, account: Account) -> None:
        """Keep the account as it is before a change, while a fault wants stale answers."""
        if not self.faults.has("stale"):
            return
        history = self._snapshots.setdefault(account.name, deque(maxlen=SNAPSHOTS_MAX))
        history.append((self.now_ms, copy.deepcopy(account)))

    def as_of(self, account: Account, lag_ms: int) -> Account:
        """Return the account as it was ``lag_ms`` ago, as far as it is remembered."""
        for when_ms, snapshot in self._snapshots.get(account.name, ()):
            if when_ms > self.now_ms - lag_ms:
                return snapshot
        return account
