"""The REST client: signs, keeps to the budget, repeats reads, and never repeats anything else.

Whether an order whose answer was lost has been executed is for the order's owner to find out; repeating it here
could close a position twice. Reads are repeated a bounded number of times.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import quote

from reactor.binance.decode import decode_rest
from reactor.binance.messages import RestFailure
from reactor.binance.sign import query_string
from reactor.binance.urls import Environment
from reactor.clock import Clock
from reactor.core.budget import UNBANNABLE, Budget
from reactor.errors import BudgetExhausted, ConfigError, RestFailed
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest_seam import Purpose, RestAnswer, RestReply, RestTransport

Value = str | int | bool
"""Decimals go as texts."""

ATTEMPTS: Final = 4
BACKOFF_S: Final = 0.2
BACKOFF_MAX_S: Final = 5.0
TIMEOUT_S: Final = 5.0
"""For one attempt. Most answers take under 0.1 s; in a crash the exchange has needed seconds."""

PATIENCE_S: Final[Mapping[str, float]] = {
    "exit": 5.0,
    "protect": 5.0,
    "account": 20.0,
    "poll": 0.0,
    "history": 75.0,
    "info": 75.0,
}
"""How long a request may wait for room in the budget, or for what `Retry-After` says. A poll's next chance
comes in a second; what can wait waits for a whole new minute."""

LOOK_AGAIN_S: Final = 0.05
"""Where only the answers of others free the room, nobody can say when."""

TIMESTAMP_OUTSIDE_WINDOW: Final = -1021
TOO_MANY_REQUESTS: Final = -1003
COUNT_NOT_TRUSTED: Final = frozenset({"/fapi/v1/ticker/bookTicker", "/fapi/v2/ticker/price"})
"""Whose `X-MBX-USED-WEIGHT-1M` is documented to be inaccurate."""

_DIGITS_MAX: Final = 9


class RestClient:
    """Asks the exchange.

    Attributes:
        asked: requests sent, by path, since the start. `failed`: those without an answer.
        round_trip_ms: of the last answer.
    """

    def __init__(
        self,
        transport: RestTransport,
        environment: Environment,
        credentials: Credentials | None,
        clock: Clock,
        budget: Budget,
        *,
        server_time: ServerTime,
        rng: random.Random,
        recv_window_ms: int = 5000,
    ) -> None:
        """Puts a client together.

        Args:
            transport: what carries requests.
            environment: where to.
            credentials: None where nothing signed will be asked.
            clock: ours.
            budget: shared by everything that uses this address and account.
            server_time: what signed requests are stamped with; measured again on -1021.
            rng: for the jitter of repetitions.
            recv_window_ms: how old a signed request may be when it arrives; 1 to 60 000.
        """
        self.budget = budget
        self.server_time = server_time
        self.asked: dict[str, int] = {}
        self.failed = 0
        self.round_trip_ms = 0.0
        self._transport = transport
        self._root = environment.rest
        self._credentials = credentials
        self._clock = clock
        self._random = rng
        self._recv_window_ms = recv_window_ms

    # Reads ------------------------------------------------------------------------------------

    async def get(
        self,
        path: str,
        params: Mapping[str, Value] | None = None,
        *,
        weight: int = 1,
        purpose: Purpose,
        signed: bool = False,
        timeout_s: float = TIMEOUT_S,
        patience_s: float | None = None,
        attempts: int = ATTEMPTS,
    ) -> RestAnswer:
        """Reads something, repeatedly where that can help.

        Repeated are: no answer, 5xx, 408, a body that is no JSON, -1021 (after measuring the clocks' offset) and
        429 / -1003 that is no ban. The waits between double from 0.2 s, with full jitter, and honour
        `Retry-After`.

        Args:
            path: `/fapi/v1/…`.
            params: without timestamp and signature.
            weight: the request weight that this costs.
            purpose: decides how much of the budget it may use.
            signed: whether it is about the account.
            timeout_s: for one attempt.
            patience_s: how long it may wait for the budget or as `Retry-After` says, each time; by purpose
                unless given.
            attempts: at most; at least 1.

        Returns:
            The last answer, also where it is a refusal: see `failure_of`.

        Raises:
            RestFailed: no attempt got an answer.
            BudgetExhausted: our share is used up, or we are banned, for longer than the patience.
        """
        patience_s = PATIENCE_S[purpose] if patience_s is None else patience_s
        answer: RestAnswer | None = None
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            wait_s = self._backoff_s(attempt)
            try:
                await self._wait_for_room(path, purpose, weight, 0, patience_s)
                answer = await self._ask(
                    "GET", path, params or {}, purpose, weight, 0, signed, signed, timeout_s
                )
            except BudgetExhausted:
                if answer is None:
                    raise
                return answer
            except RestFailed:
                if last:
                    raise
            else:
                again_s = await self._again_in_s(answer)
                if again_s is None or last:
                    return answer
                if again_s > patience_s:
                    return answer
                wait_s = max(wait_s, again_s)
            await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def ask_once(self, path: str, *, timeout_s: float) -> RestAnswer:
        """One unsigned GET of weight 1, not repeated, not waiting: what clocks are compared with.

        Raises:
            RestFailed: no answer. BudgetExhausted: we are banned.
        """
        await self._wait_for_room(path, "account", 1, 0, 0.0)
        return await self._ask("GET", path, {}, "account", 1, 0, False, False, timeout_s)

    async def _again_in_s(self, answer: RestAnswer) -> float | None:
        """Whether asking again can help, and after how long at least."""
        failure = failure_of(answer)
        if failure is None:
            return None if is_json(answer) else 0.0
        if failure.code == TIMESTAMP_OUTSIDE_WINDOW:
            measured = await self.server_time.sync(self, since_ns=answer.asked_ns)
            return 0.0 if measured else None
        if answer.status == 418 or "banned" in failure.msg:
            return None
        if answer.status == 429 or failure.code == TOO_MANY_REQUESTS:
            return retry_after_s(answer.headers) or 0.0
        if answer.status >= 500 or answer.status == 408:
            return retry_after_s(answer.headers) or 0.0
        return None

    def _backoff_s(self, attempt: int) -> float:
        ceiling = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (attempt - 1))
        return self._random.uniform(0, ceiling)

    # Everything else --------------------------------------------------------------------------

    async def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Value] | None = None,
        *,
        purpose: Purpose,
        signed: bool = True,
        timeout_s: float = TIMEOUT_S,
        weight: int = 1,
        orders: int = 0,
        patience_s: float = 0.0,
    ) -> RestAnswer:
        """Sends one request, once.

        Args:
            method: POST, PUT or DELETE; GET where a read must not be repeated.
            path: `/fapi/v1/…`.
            params: without timestamp and signature.
            purpose: decides how much of the budget it may use.
            signed: False sends only the API key (listen keys).
            timeout_s: for the answer.
            weight: the request weight that this costs; 0 for orders.
            orders: how many orders it counts as.
            patience_s: how long it may wait for the budget.

        Returns:
            The answer, also where it is a refusal. After -1021 the clocks' offset is measured anew, for the
            next request.

        Raises:
            RestFailed: no usable answer came; whether it was executed is unknown, unless it is a RestNotSent.
            BudgetExhausted: it did not leave. Never for the purpose `exit`.
        """
        await self._wait_for_room(path, purpose, weight, orders, patience_s)
        answer = await self._ask(
            method, path, params or {}, purpose, weight, orders, signed, True, timeout_s
        )
        failure = failure_of(answer)
        if failure is not None and failure.code == TIMESTAMP_OUTSIDE_WINDOW:
            await self.server_time.sync(self, since_ns=answer.asked_ns)
        return answer

    # Both -------------------------------------------------------------------------------------

    async def _wait_for_room(
        self, path: str, purpose: Purpose, weight: int, orders: int, patience_s: float
    ) -> None:
        until_ns = self._exchange_ns() + round(patience_s * 1e9)
        while True:
            now_ns = self._exchange_ns()
            wait_ns = self.budget.wait_ns(purpose, now_ns, weight=weight, orders=orders)
            if wait_ns <= 0:
                return
            if now_ns + wait_ns > until_ns:
                banned = self.budget.ban_until_ns > now_ns and purpose not in UNBANNABLE
                why = "the exchange has banned us" if banned else "our share is used up"
                raise BudgetExhausted(f"{path}: {why} for {wait_ns / 1e9:.1f} s more; not asked")
            await asyncio.sleep(max(wait_ns / 1e9, LOOK_AGAIN_S))

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, Value],
        purpose: Purpose,
        weight: int,
        orders: int,
        signed: bool,
        keyed: bool,
        timeout_s: float,
    ) -> RestAnswer:
        headers: dict[str, str] = {}
        if signed or keyed:
            headers["X-MBX-APIKEY"] = self._keys(path).api_key
        asked_ns = self._clock.now_ns()
        left_ns = self.server_time.exchange_ns(asked_ns)
        query = self._query(path, params, asked_ns, signed=signed)
        url = f"{self._root}{path}?{query}" if query else f"{self._root}{path}"
        self.asked[path] = self.asked.get(path, 0) + 1
        self.budget.leave(left_ns, weight=weight, orders=orders)
        reply: RestReply | None = None
        try:
            reply = await self._transport.request(method, url, headers=headers, timeout_s=timeout_s)
        except RestFailed:
            self.failed += 1
            raise
        finally:
            counted = reply.headers if reply and path not in COUNT_NOT_TRUSTED else None
            self.budget.came_back(
                self._exchange_ns(), weight=weight, asked_ns=left_ns, headers=counted
            )
        now_ns = self._clock.now_ns()
        self.round_trip_ms = (now_ns - asked_ns) / 1e6
        answer = RestAnswer(
            method=method,
            path=path,
            params=dict(params),
            status=reply.status,
            body=reply.body,
            asked_ns=asked_ns,
            t_ns=now_ns,
            headers=reply.headers,
        )
        failure = failure_of(answer)
        if failure is not None:
            self.budget.on_refusal(
                self._exchange_ns(),
                status=failure.status,
                code=failure.code,
                text=failure.msg,
                retry_after_s=retry_after_s(reply.headers),
            )
        return answer

    def _query(self, path: str, params: Mapping[str, Value], asked_ns: int, *, signed: bool) -> str:
        texts = {name: _text(value) for name, value in params.items()}
        if not signed:
            return query_string(texts)
        texts["recvWindow"] = str(self._recv_window_ms)
        texts["timestamp"] = str(self.server_time.timestamp_ms(asked_ns))
        query = query_string(texts)
        signature = quote(self._keys(path).sign(query), safe="")
        return f"{query}&signature={signature}"

    def _keys(self, path: str) -> Credentials:
        if self._credentials is None:
            raise ConfigError(
                f"{path} needs an API key; set BINANCE_API_KEY and BINANCE_API_SECRET"
            )
        return self._credentials

    def _exchange_ns(self) -> int:
        return self.server_time.exchange_ns(self._clock.now_ns())


def failure_of(answer: RestAnswer) -> RestFailure | None:
    """What a failed answer says: code (None where the body has none), text, status; None for a success."""
    succeeded = 200 <= answer.status < 300
    if succeeded and b'"code"' not in answer.body[:4096]:
        return None
    params = cast("Mapping[str, str]", answer.params)
    verdict = decode_rest(answer.method, answer.path, answer.status, answer.body, params)
    return verdict if isinstance(verdict, RestFailure) else None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The `Retry-After` header in seconds; None where there is none, or a date (Binance sends none)."""
    value = headers.get("retry-after", "")
    usable = value.isascii() and value.isdecimal() and len(value) <= _DIGITS_MAX
    return float(value) if usable else None


def is_json(answer: RestAnswer) -> bool:
    """Whether a body can be an answer of the exchange: gateways answer in HTML, with 200 too."""
    return answer.body.lstrip()[:1] in {b"{", b"["}


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
