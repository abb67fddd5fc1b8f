"""The exchange's contracts: fetched at start, kept, refreshed every few hours and when an order was refused for its rounding."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from reactor.audit import AlarmRaised, Audit
from reactor.binance.decode import decode_rest
from reactor.binance.filters import QUARTERLY, SymbolFilters, refusal
from reactor.binance.rest_account_messages import LeverageBrackets
from reactor.binance.rest_market_messages import ExchangeInfo
from reactor.clock import Clock
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest.mends import in_words
from reactor.shell.rest_seam import RestAnswer

INFO_PATH: Final = "/fapi/v1/exchangeInfo"
BRACKETS_PATH: Final = "/fapi/v1/leverageBracket"

REFRESH_S: Final = 6 * 3600.0
RETRY_S: Final = 30.0
TIMEOUT_S: Final = 15.0
"""The answer has 1.2 MB."""

AGAIN_NO_SOONER_S: Final = 60.0
"""However many orders are refused: a refresh helps once, or not at all."""

REFRESH_CODES: Final = frozenset({-1111, -1121, -1122, -4014, -4023})
"""Precision, unknown symbol, symbol status, tick, step: what is kept here is out of date."""

STATUS_WORDS: Final[Mapping[str, str]] = {
    "PENDING_TRADING": "not trading yet",
    "PRE_DELIVERING": "about to be delivered",
    "DELIVERING": "being delivered",
    "DELIVERED": "delivered",
    "PRE_SETTLE": "about to be settled",
    "SETTLING": "being settled",
    "CLOSE": "delisted",
    "TRADING_HALT": "halted",
    "BREAK": "in a break",
    "HALT": "halted",
}


class Contracts:
    """What is known of every contract.

    Attributes:
        fetched_ns: when it last came, by our clock; 0 before the first time.
        problem: why the last fetch failed; empty after a success.
        brackets: leverage brackets of the symbols they were read for.
    """

    def __init__(
        self,
        client: RestClient,
        inbox: Inbox | None,
        audit: Audit,
        clock: Clock,
        *,
        watched: Callable[[], Collection[str]] = tuple,
        refresh_s: float = REFRESH_S,
    ) -> None:
        """Starts knowing nothing.

        Args:
            client: what asks.
            inbox: what answers go into, where anything is to know them.
            audit: told when a watched contract stops or starts trading.
            clock: ours.
            watched: the symbols whose changes a person should know.
            refresh_s: between two fetches.
        """
        self.fetched_ns = 0
        self.problem = ""
        self.brackets: dict[str, LeverageBrackets] = {}
        self._client = client
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._watched = watched
        self._refresh_s = refresh_s
        self._symbols: Mapping[str, SymbolFilters] = {}
        self._asked = asyncio.Event()

    def filters(self, symbol: str) -> SymbolFilters | None:
        """A contract's rules; None where the exchange lists none of that name, or nothing came yet."""
        return self._symbols.get(symbol)

    def why_not(self, symbol: str) -> str | None:
        """Why a position in this symbol cannot be guarded, or only with care, in one line; None: it can."""
        contract = self._symbols.get(symbol)
        if contract is None:
            return f"{symbol} is no contract of this exchange; look at its spelling, as in BTCUSDT"
        refused = refusal(contract)
        if refused is not None:
            return refused
        if contract.status != "TRADING":
            word = STATUS_WORDS.get(contract.status, "not trading")
            return f"{symbol} is {word} ({contract.status}); no order is taken until it trades"
        if contract.tick_size is None or (contract.market_step or contract.step_size) is None:
            return f"{symbol} has no tick size or lot step; give both under [symbols.{symbol}]"
        return None

    def note(self, symbol: str) -> str | None:
        """What a person should know of a contract that can be guarded, in one line."""
        contract = self._symbols.get(symbol)
        if contract is not None and contract.contract_type in QUARTERLY:
            return f"{symbol} is a quarterly contract: the exchange closes it on its delivery date"
        return None

    def on_code(self, code: int | None) -> None:
        """An order was refused: where what is kept here may be the reason, it is fetched again."""
        due_ns = self.fetched_ns + round(AGAIN_NO_SOONER_S * 1e9)
        if code in REFRESH_CODES and self._clock.now_ns() >= due_ns:
            self._asked.set()

    async def run(self) -> None:
        """Keeps the contracts fresh until cancelled."""
        while True:
            wait_s = RETRY_S if self.problem or not self.fetched_ns else self._refresh_s
            try:
                async with asyncio.timeout(wait_s):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            await self.refresh()

    async def refresh(self) -> bool:
        """Fetches them now.

        Returns:
            Whether they came; `problem` says why not. What was known stays.
        """
        try:
            answer = await self._client.get(
                INFO_PATH, weight=1, purpose="info", timeout_s=TIMEOUT_S
            )
        except (RestFailed, BudgetExhausted) as error:
            self.problem = str(error)
            return False
        failure = failure_of(answer)
        body = decode_rest("GET", INFO_PATH, answer.status, answer.body)
        if failure is not None or not isinstance(body, ExchangeInfo) or not body.symbols:
            words = in_words(failure) if failure else "an answer that cannot be read"
            self.problem = f"exchangeInfo: {words}"
            return False
        self._tell_changes(body.symbols)
        self._symbols = body.symbols
        self.fetched_ns = answer.t_ns
        self.problem = ""
        self._client.budget.set_limits(
            (limit.rate_limit_type, limit.interval, limit.interval_num, limit.limit)
            for limit in body.rate_limits
        )
        self._hand_on(answer)
        return True

    async def load_brackets(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """Reads leverage brackets; weight 1 a symbol.

        Returns:
            The symbols whose brackets could not be read.
        """
        missing: list[str] = []
        for symbol in symbols:
            params = {"symbol": symbol}
            try:
                answer = await self._client.get(
                    BRACKETS_PATH, params, weight=1, purpose="info", signed=True
                )
            except (RestFailed, BudgetExhausted):
                missing.append(symbol)
                continue
            body = decode_rest("GET", BRACKETS_PATH, answer.status, answer.body, params)
            rows = body if isinstance(body, tuple) else ()
            found = [row for row in rows if isinstance(row, LeverageBrackets)]
            self.brackets.update((row.symbol, row) for row in found)
            if symbol in self.brackets:
                self._hand_on(answer)
            else:
                missing.append(symbol)
        return tuple(missing)

    def _hand_on(self, answer: RestAnswer) -> None:
        if self._inbox is not None:
            self._inbox.rest(answer)

    def _tell_changes(self, symbols: Mapping[str, SymbolFilters]) -> None:
        if not self._symbols:
            return
        for name in self._watched():
            before, now = self._symbols.get(name), symbols.get(name)
            was = before.status if before else "not listed"
            is_now = now.status if now else "not listed"
            if was != is_now:
                text = (
                    f"{name} went from {was} to {is_now}; exits wait until it trades again"
                    if is_now != "TRADING"
                    else f"{name} trades again ({was} before)"
                )
                self._audit.publish(
                    AlarmRaised(kind="contract", text=text, symbol=name, key=f"contract-{name}"),
                    t_ns=self._clock.now_ns(),
                )
