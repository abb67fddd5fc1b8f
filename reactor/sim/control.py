"""The control door ``/sim/…``: what tests, the demo and rehearsals do that no client may.

JSON in, JSON out, POST for whatever changes something. Not part of Binance; documented in
docs/simulator.md.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from reactor.errors import ConfigError
from reactor.sim import answers, control_view, faults, funding, liquidation, orders, signatures
from reactor.sim.account import Account
from reactor.sim.clock import VirtualClock
from reactor.sim.control_input import Body, as_object, failure, number, whole
from reactor.sim.exchange import Exchange
from reactor.sim.model import Credential
from reactor.sim.refusals import Refusal
from reactor.sim.rest import Request, Response
from reactor.sim.rest_account import change_mode

if TYPE_CHECKING:
    from reactor.sim.streams import Hub


class Control:
    """Handles ``/sim/…``."""

    def __init__(self, exchange: Exchange, hub: "Hub") -> None:
        self._exchange = exchange
        self._hub = hub
        self.clock: VirtualClock | None = None
        self.latencies_ns: Callable[[], list[int]] = list
        self._doors: dict[tuple[str, str], Callable[[Body], Any]] = {
            ("GET", "/sim/state"): self._state,
            ("GET", "/sim/faults"): self._list_faults,
            ("GET", "/sim/latency"): lambda _: {"ns": self.latencies_ns()},
            ("POST", "/sim/price"): self._price,
            ("POST", "/sim/book"): self._book,
            ("POST", "/sim/trade"): self._trade,
            ("POST", "/sim/position"): self._position,
            ("POST", "/sim/fill"): self._fill,
            ("POST", "/sim/liquidate"): self._liquidate,
            ("POST", "/sim/funding"): self._funding,
            ("POST", "/sim/mode"): self._mode,
            ("POST", "/sim/account"): self._account_change,
            ("POST", "/sim/key"): self._key,
            ("POST", "/sim/symbol"): self._symbol_change,
            ("POST", "/sim/limits"): self._limits,
            ("POST", "/sim/faults"): self._arm,
            ("DELETE", "/sim/faults"): self._clear,
            ("POST", "/sim/listen-key"): self._listen_key,
            ("POST", "/sim/connections"): self._connections,
            ("POST", "/sim/time"): self._time,
        }

    def answer(self, request: Request) -> Response:
        """Answer a request to the control door."""
        door = self._doors.get((request.method, request.path))
        if door is None:
            known = ", ".join(sorted(f"{method} {path}" for method, path in self._doors))
            return failure(404, f"no such door; there are: {known}")
        try:
            if request.path == "/sim/faults" and request.method == "POST":
                result = self._arm_script(request.body.encode())
            else:
                result = door(as_object(request.body))
        except orjson.JSONDecodeError as error:
            return failure(400, f"the body is not JSON: {error}")
        except ConfigError as error:
            return failure(400, str(error))
        except Refusal as refusal:
            return Response(status=refusal.status, body=orjson.dumps(refusal.body()))
        return Response(body=orjson.dumps({"ok": True} if result is None else result))

    # Who and what

    def _account(self, body: Body) -> Account:
        name = str(body.get("account", "main"))
        account = self._exchange.accounts.get(name)
        if account is None:
            raise ConfigError(f"no account {name!r}; make it with POST /sim/account")
        return account

    def _symbol(self, body: Body) -> str:
        symbol = str(body.get("symbol", ""))
        if symbol not in self._exchange.markets:
            raise ConfigError(
                f"no symbol {symbol!r}; there are: {', '.join(self._exchange.markets)}"
            )
        return symbol

    def _side(self, body: Body, account: Account) -> str:
        if not account.hedge:
            return "BOTH"
        side = str(body.get("positionSide", ""))
        if side not in {"LONG", "SHORT"}:
            raise ConfigError("'positionSide' must be LONG or SHORT in hedge mode")
        return side

    # Prices

    def _price(self, body: Body) -> Any:
        """Move a symbol: ``price`` for everything, or ``mark`` alone, or both, ``index``, ``rate``."""
        exchange = self._exchange
        symbol = self._symbol(body)
        market = exchange.markets[symbol]
        mark = number(body, "mark") if "mark" in body else None
        if "rate" in body:
            market.funding_rate = number(body, "rate")
        if "price" in body:
            price = number(body, "price")
            if price <= market.rules.tick:
                raise ConfigError("'price' must be above one tick")
            exchange.set_price(symbol, price, mark=mark)
        elif mark is not None:
            if mark <= 0:
                raise ConfigError("'mark' must be above 0")
            exchange.mark(symbol, mark, number(body, "index") if "index" in body else None)
            exchange.publisher.mark(market)
        return None

    def _book(self, body: Body) -> Any:
        """Set the best prices, or the depth behind them (``depth`` a level, ``levels``)."""
        symbol = self._symbol(body)
        book = self._exchange.markets[symbol].book
        if "depth" in body:
            book.depth = number(body, "depth")
            book.bid_qty = book.ask_qty = book.depth
        if "levels" in body:
            book.levels = whole(body, "levels")
        if "bid" in body or "ask" in body:
            self._exchange.quote(
                symbol,
                number(body, "bid"),
                number(body, "bidQty", str(book.bid_qty)),
                number(body, "ask"),
                number(body, "askQty", str(book.ask_qty)),
            )
        return None

    def _trade(self, body: Body) -> Any:
        """Print a trade without moving the book."""
        symbol = self._symbol(body)
        step = self._exchange.symbols[symbol].step
        self._exchange.trade(
            symbol,
            number(body, "price"),
            number(body, "quantity", str(step)),
            buyer_maker=bool(body.get("buyerMaker", False)),
        )
        return None

    # Positions and orders of somebody else

    def _position(self, body: Body) -> Any:
        """Open, grow, shrink or flip a position by a market order that no client sent."""
        exchange = self._exchange
        symbol, account = self._symbol(body), self._account(body)
        quantity = number(body, "quantity")
        if not quantity:
            raise ConfigError("'quantity' must not be 0; negative sells")
        ask = orders.Ask(
            symbol=symbol,
            side="BUY" if quantity > 0 else "SELL",
            position_side=self._side(body, account),
            type="MARKET",
            time_in_force="GTC",
            quantity=abs(quantity),
            reduce_only=bool(body.get("reduceOnly", False)),
            client_id=str(body.get("clientOrderId", "")) or f"web_{exchange.automatic_client_id()}",
        )
        order = orders.place(exchange, account, ask)
        return answers.queried(exchange.symbols[symbol], order)

    def _fill(self, body: Body) -> Any:
        """Fill a resting order, whole or in part, at its price."""
        from reactor.sim import matching  # noqa: PLC0415 -- only needed here

        exchange, account = self._exchange, self._account(body)
        order = account.orders.get((self._symbol(body), whole(body, "orderId")))
        if order is None:
            raise Refusal(-2013)
        quantity = min(order.remaining, number(body, "quantity", str(order.remaining)))
        if quantity <= 0:
            raise ConfigError("'quantity' must be above 0")
        exchange.remember(account)
        matching.fill(exchange, account, order, order.price, quantity, maker=True)
        return answers.queried(exchange.symbols[order.symbol], order)

    def _liquidate(self, body: Body) -> Any:
        """Close a position by the exchange: ``how`` autoclose, adl or settlement."""
        account = self._account(body)
        how = str(body.get("how", "autoclose"))
        if how not in {"autoclose", "adl", "settlement"}:
            raise ConfigError("'how' must be autoclose, adl or settlement")
        side = self._side(body, account)
        position = account.position(self._symbol(body), side)
        liquidation.force(self._exchange, account, position, how)
        return None

    def _funding(self, body: Body) -> Any:
        """Pay funding on a symbol now."""
        market = self._exchange.markets[self._symbol(body)]
        if "rate" in body:
            market.funding_rate = number(body, "rate")
        funding.pay(self._exchange, market)
        return None

    def _mode(self, body: Body) -> Any:
        """Change an account's position mode, by the exchange's rules."""
        change_mode(self._account(body), hedge=body.get("mode") == "hedge")
        return None

    # Accounts

    def _account_change(self, body: Body) -> Any:
        """Make an account, or change one: wallet, fees, restrictions."""
        exchange = self._exchange
        name = str(body.get("account", "main"))
        account = exchange.accounts.get(name)
        if account is None:
            account = exchange.add_account(name, wallet=number(body, "wallet", "100000"))
        elif "wallet" in body:
            change = number(body, "wallet") - account.wallet
            account.pay(
                "TRANSFER",
                "",
                change,
                time_ms=exchange.server_ms,
                tran_id=exchange.next_id(),
            )
        if "hedge" in body:
            account.hedge = bool(body["hedge"])
        conflict = body.get("reduceOnlyConflict", account.reduce_only_conflict)
        if conflict not in {"expire", "reject"}:
            raise ConfigError("'reduceOnlyConflict' must be expire or reject")
        account.reduce_only_conflict = conflict
        if "onlyReduce" in body:
            account.only_reduce = _only_reduce(body["onlyReduce"])
        account.coin_margined = bool(body.get("coinMargined", account.coin_margined))
        account.cooling_off = bool(body.get("coolingOff", account.cooling_off))
        return None

    def _key(self, body: Body) -> Any:
        """Give an account a key: HMAC with ``secret``, ED25519 or RSA with ``publicKey`` (PEM)."""
        kind = str(body.get("kind", "HMAC")).upper()
        if kind not in {"HMAC", "ED25519", "RSA"}:
            raise ConfigError("'kind' must be HMAC, ED25519 or RSA")
        secret = str(body.get("secret" if kind == "HMAC" else "publicKey", ""))
        api_key = str(body.get("apiKey", ""))
        if not secret or not api_key:
            raise ConfigError("'apiKey' and 'secret' (or 'publicKey') are needed")
        if kind != "HMAC":
            signatures.load_public_key(secret)
        if body.get("revoke"):
            self._exchange.credentials.pop(api_key, None)
            return None
        account = self._account(body)
        trade = bool(body.get("canTrade", True))
        self._exchange.add_key(Credential(api_key, account.name, kind, secret, trade))
        return None

    # Rules

    def _symbol_change(self, body: Body) -> Any:
        """Change a symbol's status or its filters."""
        exchange = self._exchange
        symbol = self._symbol(body)
        market = exchange.markets[symbol]
        market.status = str(body.get("status", market.status))
        control = str(body.get("positionControlSide", market.position_control))
        if control not in orders.POSITION_CONTROLS:
            raise ConfigError("'positionControlSide' must be NONE, BOTH, BUY or SELL")
        market.position_control = control
        names = {
            "tickSize": "tick",
            "stepSize": "step",
            "maxQty": "max_qty",
            "marketMaxQty": "market_max_qty",
            "minNotional": "min_notional",
            "marketTakeBound": "market_take_bound",
            "triggerProtect": "trigger_protect",
            "multiplierUp": "multiplier_up",
            "multiplierDown": "multiplier_down",
        }
        changed = {field: number(body, name) for name, field in names.items() if name in body}
        if any(value <= 0 for value in changed.values()):
            raise ConfigError("filters must be above 0")
        if changed:
            rules = msgspec.structs.replace(market.rules, **changed)
            exchange.symbols[symbol] = market.book.rules = rules
            market.use(rules)
        return None

    def _limits(self, body: Body) -> Any:
        """Change rate limits by the names of :class:`reactor.sim.limits.Limits`."""
        limits = self._exchange.rates.limits
        for name in body:
            if not hasattr(limits, name):
                raise ConfigError(f"no limit {name!r}; there are: {', '.join(limits.__slots__)}")
            setattr(limits, name, whole(body, name))
        return None

    # Faults

    def _arm(self, body: Body) -> Any:
        raise ConfigError("a fault script is a JSON list of rules")

    def _arm_script(self, raw: bytes) -> Any:
        rules = faults.read_script(raw)
        return {"numbers": self.arm(rules)}

    def arm(self, rules: list[faults.FaultRule]) -> list[int]:
        """Put fault rules in force; actions among them are scheduled."""
        exchange = self._exchange
        for rule in rules:
            if rule.do in faults.ACTION and rule.account not in exchange.accounts:
                raise ConfigError(f"fault script: no account {rule.account!r}")
        numbers = exchange.faults.arm(
            [rule for rule in rules if rule.do not in faults.ACTION], exchange.now_ms
        )
        for rule in rules:
            if rule.do in faults.ACTION:
                exchange.schedule(rule.from_ms, lambda rule=rule: self._act(rule))  # type: ignore[misc]
        exchange.advance(exchange.now_ms)
        return numbers

    def _act(self, rule: faults.FaultRule) -> None:
        exchange = self._exchange
        account = exchange.accounts[rule.account]
        exchange.faults.log.append({"t": exchange.now_ms, "do": rule.do})
        if rule.do == "clock_skew":
            exchange.skew_ms = rule.ms
        elif rule.do == "maintenance":
            exchange.maintenance_until_ms = exchange.now_ms + rule.ms
            for connection in list(self._hub.connections.values()):
                self._hub.cut(connection, how=rule.how)
        elif rule.do == "listen_key_expire":
            exchange.end_listen_key(account)
        elif rule.do == "listen_key_delete":
            exchange.end_listen_key(account, say=rule.event)
        elif rule.do == "ban":
            exchange.rates.ban("127.0.0.1", exchange.now_ms + rule.ms)

    def _list_faults(self, body: Body) -> Any:
        return {"rules": self._exchange.faults.listing(), "log": self._exchange.faults.log}

    def _clear(self, body: Body) -> Any:
        """Forget all fault rules and undo skew, maintenance and mutes."""
        exchange = self._exchange
        exchange.faults.clear()
        exchange.skew_ms = exchange.maintenance_until_ms = 0
        for connection in self._hub.connections.values():
            connection.muted_until_ms = 0

    def _listen_key(self, body: Body) -> Any:
        """Expire (``expire``) or delete (``delete``) an account's listen key."""
        say = body.get("do", "expire") == "expire"
        self._exchange.end_listen_key(self._account(body), say=say)

    def _connections(self, body: Body) -> Any:
        """Cut connections: ``how`` close, reset, half_open or mute; by ``route`` or ``connection``."""
        how = str(body.get("how", "close"))
        if how not in {"close", "reset", "half_open", "mute"}:
            raise ConfigError("'how' must be close, reset, half_open or mute")
        cut = 0
        for connection in list(self._hub.connections.values()):
            if body.get("route", connection.route) != connection.route:
                continue
            if body.get("connection", connection.number) != connection.number:
                continue
            cut += 1
            if how == "mute":
                connection.muted_until_ms = self._exchange.now_ms + whole(body, "ms", 1 << 40)
            else:
                self._hub.cut(connection, how=how)
        return {"connections": cut}

    # Time and state

    def _time(self, body: Body) -> Any:
        """Move virtual time by ``advanceMs`` or to ``toMs``."""
        exchange = self._exchange
        if self.clock is None:
            raise ConfigError("time is real here; start the simulator with --virtual-time")
        target = (
            whole(body, "toMs") if "toMs" in body else exchange.now_ms + whole(body, "advanceMs")
        )
        exchange.advance(target)
        self.clock.move_to(target)
        return {"now": exchange.now_ms}

    def _state(self, body: Body) -> Any:
        return control_view.state(self._exchange, self._hub)


def _only_reduce(value: Any) -> int:
    """Read the restriction to closing orders: true, false, or the code to refuse with."""
    if isinstance(value, bool):
        return -4400 if value else 0
    if not isinstance(value, int) or value not in orders.ONLY_REDUCE_CODES:
        codes = ", ".join(str(code) for code in sorted(orders.ONLY_REDUCE_CODES))
        raise ConfigError(f"'onlyReduce' must be true, false or one of {codes}")
    return int(value)
