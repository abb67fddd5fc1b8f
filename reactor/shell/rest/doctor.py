"""`reactor doctor`: everything that must be right before a position is guarded, looked at once, one line each."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from reactor.binance.decode import decode_rest
from reactor.binance.rest_account_messages import ListenKey
from reactor.binance.urls import Environment, private_url, stream_name, stream_url
from reactor.config import Config
from reactor.config_complaints import size_bytes
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.rest.account_setup import read_account_setup
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest.contracts import Contracts
from reactor.shell.rest.liveness import QUESTION, Probe, listen
from reactor.shell.rest.mends import in_words
from reactor.shell.rest.server_time import DRIFT_LIMIT_MS
from reactor.shell.transport.seam import SocketOptions, Transport

Level = Literal["ok", "note", "wrong"]

FREE_BYTES_MIN: Final = 200_000_000
"""For the journal and logs where nothing is recorded."""

ANY_SYMBOL: Final = "BTCUSDT"
"""Never quiet, in any environment."""

WRONG_ROUTE: Final = (
    "nothing else that reads this stream will get anything either; look at proxies and firewalls, or try"
    ' streams.transport = "websockets"'
)

NO_WAY: Final = "look at the network, proxies and firewalls"


class Finding(Struct, frozen=True):
    """One line of the report."""

    level: Level
    part: str
    text: str


class Doctor:
    """Looks at one thing after the other and reports each."""

    def __init__(
        self,
        config: Config,
        environment: Environment,
        client: RestClient,
        contracts: Contracts,
        transport: Transport,
        report: Callable[[Finding], None],
        *,
        keys_problem: str = "",
        warnings: Sequence[str] = (),
        message_timeout_s: float = 10.0,
    ) -> None:
        """Takes the patient.

        Args:
            config: as it would run.
            environment: where it would run.
            client: of that environment; with credentials unless `keys_problem` says why there are none.
            contracts: of that client.
            transport: what sockets are made with.
            report: called with each finding as it is made.
            keys_problem: why there are no credentials.
            warnings: about the credentials there are.
            message_timeout_s: how long a route may be silent.
        """
        self.wrong = 0
        self._config = config
        self._environment = environment
        self._client = client
        self._contracts = contracts
        self._transport = transport
        self._report = report
        self._keys_problem = keys_problem
        self._warnings = warnings
        self._timeout_s = message_timeout_s
        self._options = SocketOptions(proxy=config.streams.proxy)

    async def examine(self) -> int:
        """Looks at everything.

        Returns:
            How many things are wrong.
        """
        self._say("ok", "environment", f"{self._environment.name}: {self._environment.rest}")
        reachable = await self._clock()
        signed = self._keys()
        if reachable:
            if signed:
                signed = await self._account()
            await self._symbols()
            if signed:
                await self._permission()
        await self._market()
        await self._private(signed=signed and reachable)
        await self._order_api()
        self._disk()
        return self.wrong

    def _say(self, level: Level, part: str, text: str) -> None:
        self.wrong += level == "wrong"
        self._report(Finding(level, part, text))

    @property
    def _named(self) -> list[str]:
        """The symbols that the configuration names."""
        names = [name for name in self._config.manage.include if name != "*"]
        return list(dict.fromkeys([*names, *self._config.symbols]))

    @property
    def _tried(self) -> str:
        """The symbol that the routes are tried with: a configured one may rest, and be no fault of the route."""
        for name in (ANY_SYMBOL, *self._named):
            if self._contracts.why_not(name) is None:
                return name
        return ANY_SYMBOL

    # REST -------------------------------------------------------------------------------------

    async def _clock(self) -> bool:
        time = self._client.server_time
        if not await time.sync(self._client):
            why = "it gave no usable answer"
            try:
                answer = await self._client.ask_once("/fapi/v1/time", timeout_s=5.0)
            except (RestFailed, BudgetExhausted) as error:
                why = str(error)
            else:
                failure = failure_of(answer)
                why = in_words(failure) if failure else why
            self._say(
                "wrong",
                "rest",
                f"the exchange cannot be reached ({why}); look at the network, the proxy, and the environment",
            )
            return False
        round_trip_ms = time.round_trip_ns / 1e6
        self._say("ok", "rest", f"answers in {round_trip_ms:.1f} ms")
        off_ms = time.offset_ms
        words = f"{abs(off_ms):.1f} ms {'behind' if off_ms > 0 else 'ahead of'} the exchange's"
        if abs(off_ms) - round_trip_ms / 2 > DRIFT_LIMIT_MS:
            self._say("wrong", "clock", f"{words}; synchronise this machine's clock (NTP)")
        else:
            self._say("ok", "clock", words)
        return True

    def _keys(self) -> bool:
        for warning in self._warnings:
            self._say("note", "keys", warning)
        if self._keys_problem:
            self._say("wrong", "keys", self._keys_problem)
            return False
        return True

    async def _account(self) -> bool:
        try:
            setup = await read_account_setup(self._client)
        except (RestFailed, BudgetExhausted) as error:
            self._say("wrong", "keys", f"the account cannot be read ({error}); try again later")
            return False
        if setup.hedge is None:
            for problem in setup.problems:
                self._say("wrong", "keys", problem)
            return False
        self._say("ok", "keys", "the exchange takes key and signature")
        for problem in setup.problems:
            self._say("wrong", "account", problem)
        for note in setup.notes:
            self._say("note", "account", note)
        mode = "hedge mode: LONG and SHORT apart" if setup.hedge else "one-way mode"
        self._say("ok", "position mode", mode)
        return True

    async def _permission(self) -> None:
        """Whether the key may trade, by an order that the exchange checks and does not place."""
        params = {"symbol": self._tried, "side": "BUY", "type": "MARKET", "quantity": "1"}
        try:
            answer = await self._client.send(
                "POST", "/fapi/v1/order/test", params, purpose="info", weight=1
            )
        except (RestFailed, BudgetExhausted) as error:
            self._say("wrong", "permissions", f"the test order had no answer ({error}); try again")
            return
        failure = failure_of(answer)
        if failure is not None and failure.code in {-2014, -2015, -1022, -1002}:
            self._say(
                "wrong",
                "permissions",
                "the key reads but may not trade; allow futures trading for it on the exchange's site"
                f" ({failure.code})",
            )
        elif failure is not None and failure.status not in {200, 400}:
            self._say("wrong", "permissions", f"the test order failed: {in_words(failure)}")
        else:
            # Whatever else the exchange finds about the order, it found it after the permission.
            self._say("ok", "permissions", "the key may trade (a test order; none was placed)")

    async def _symbols(self) -> None:
        if not await self._contracts.refresh():
            self._say("wrong", "symbols", f"{self._contracts.problem}; try again later")
            return
        if not self._named:
            everything = "*" in self._config.manage.include
            self._say(
                "note",
                "symbols",
                "every symbol is managed"
                if everything
                else "no symbol is named; manage.include says which positions are guarded",
            )
        for name in self._named:
            refused = self._contracts.why_not(name)
            note = self._contracts.note(name)
            filters = self._contracts.filters(name)
            if refused is not None:
                self._say("wrong", "symbols", refused)
            elif filters is not None:
                step = filters.market_step or filters.step_size
                self._say("ok", "symbols", f"{name}: tick {filters.tick_size}, lot step {step}")
            if note is not None:
                self._say("note", "symbols", note)

    # Sockets ----------------------------------------------------------------------------------

    async def _listen(self, url: str, *, wanted: bytes, say: bytes = b"") -> Probe:
        return await listen(
            self._transport,
            url,
            wanted=wanted,
            say=say,
            timeout_s=self._timeout_s,
            options=self._options,
        )

    async def _market(self) -> None:
        for route, stream, event in (
            ("market", "markPrice@1s", b'"markPriceUpdate"'),
            ("public", "bookTicker", b'"bookTicker"'),
        ):
            name = stream_name(self._tried, stream)
            probe = await self._listen(stream_url(self._environment, [name]), wanted=event)
            if probe.heard:
                self._say("ok", f"{route} stream", f"{name} came after {probe.after_ms:.0f} ms")
            else:
                mend = WRONG_ROUTE if probe.connected else NO_WAY
                self._say("wrong", f"{route} stream", f"{name}: {probe.reason}; {mend}")

    async def _private(self, *, signed: bool) -> None:
        part = "private stream"
        if not signed:
            self._say("note", part, "not tried: it needs keys that work")
            return
        try:
            answer = await self._client.send(
                "POST", "/fapi/v1/listenKey", purpose="account", signed=False
            )
        except (RestFailed, BudgetExhausted) as error:
            self._say("wrong", part, f"no listen key ({error}); try again later")
            return
        body = decode_rest("POST", "/fapi/v1/listenKey", answer.status, answer.body)
        if not isinstance(body, ListenKey):
            failure = failure_of(answer)
            why = in_words(failure) if failure else "an answer that cannot be read"
            self._say("wrong", part, f"no listen key: {why}")
            return
        form = self._config.streams.private_form
        url = private_url(self._environment, body.listen_key, form=form)
        probe = await self._listen(url, wanted=b'"id"', say=QUESTION)
        if probe.heard or probe.spoke:
            self._say("ok", part, f"answered after {probe.after_ms:.0f} ms (form {form!r})")
        elif probe.connected:
            other = "path" if form == "query" else "query"
            self._say(
                "wrong",
                part,
                f'{probe.reason}; try streams.private_form = "{other}", then look again',
            )
        else:
            self._say("wrong", part, f"{probe.reason}; {NO_WAY}")

    async def _order_api(self) -> None:
        part = "order socket"
        if self._config.orders.over == "rest":
            self._say("note", part, 'not tried: orders.over = "rest"')
            return
        question = b'{"id":1,"method":"ticker.price","params":{"symbol":"%s"}}'
        probe = await self._listen(
            self._environment.ws_api, wanted=b'"id"', say=question % self._tried.encode()
        )
        if probe.heard:
            self._say("ok", part, f"answered after {probe.after_ms:.0f} ms")
        else:
            text = f'{probe.reason}; orders go over REST meanwhile, orders.over = "rest" makes that plain'
            self._say("wrong", part, text)

    # This machine -----------------------------------------------------------------------------

    def _disk(self) -> None:
        record = self._config.record
        needed = FREE_BYTES_MIN
        folders = [Path(self._config.data_dir)]
        if record.enabled:
            needed = size_bytes(record.min_free_disk, key="record.min_free_disk")
            folders.append(folders[0] / record.dir)
        for folder in folders:
            try:
                self._folder(folder, needed)
            except OSError as error:
                self._say("wrong", "disk", f"{folder}: {error.strerror or error}; mend data_dir")

    def _folder(self, folder: Path, needed: int) -> None:
        # What is not there yet will be made: what counts is where.
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            self._say(
                "wrong", "disk", f"{there} cannot be written to; change its owner or data_dir"
            )
        elif free < needed:
            self._say(
                "wrong",
                "disk",
                f"{folder}: {free / 1e9:.1f} GB free of {needed / 1e9:.1f} GB needed; make room",
            )
        else:
            self._say("ok", "disk", f"{folder}: {free / 1e9:.1f} GB free")
