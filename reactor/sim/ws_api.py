"""The WebSocket API: requests as JSON frames, answered by the same handlers as REST.

A session may log on once with an Ed25519 key; otherwise every request carries its key and signature.
Source: binance.md §5.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from reactor.sim import faults, rest, signatures
from reactor.sim.model import Credential
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal, missing

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v1/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
}
PLAIN: Final = frozenset({"ping", "time", "session.logon", "session.status", "session.logout"})
LOGON_WEIGHT = 2


class Reply(msgspec.Struct):
    """An answer to send, what holds it back, or what happens instead of it."""

    body: bytes
    delay_ms: int = 0
    drop: str = ""


class WsApiSession:
    """One connection's session."""

    def __init__(self, exchange: "Exchange", ip: str) -> None:
        self._exchange = exchange
        self._ip = ip
        self._credential: Credential | None = None
        self._since_ms = exchange.now_ms
        self._logged_on_ms: int | None = None
        self.return_rate_limits = True

    def handle(self, text: str | bytes) -> Reply:
        """Answer one request frame; rubbish is answered too."""
        number: Any = None
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            refusal = Refusal(-1135, text="This is not valid JSON.")
            return Reply(orjson.dumps(self._refused(None, refusal)))
        reply = Reply(b"")
        try:
            number, method, params = _frame(message)
            result = self._run(method, params, reply)
            body = {"id": number, "status": 200, "result": result}
            self._add_limits(body, params)
        except Refusal as refusal:
            body = self._refused(number, refusal)
        reply.body = orjson.dumps(body)
        return reply

    def _refused(self, number: Any, refusal: Refusal) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": number,
            "status": refusal.status,
            "error": refusal.body(),
        }
        self._add_limits(body, {})
        return body

    def _add_limits(self, body: dict[str, Any], params: Mapping[str, Any]) -> None:
        if not self.return_rate_limits or params.get("returnRateLimits") is False:
            return
        exchange = self._exchange
        used = exchange.rates.used_weight(self._ip, exchange.now_ms)
        weight, minute, ten = exchange.rates.as_rate_limits()
        body["rateLimits"] = [weight | {"count": used}]
        if self._credential is not None:
            in_ten, in_minute = exchange.rates.order_counts(
                self._credential.account, exchange.now_ms
            )
            body["rateLimits"] += [ten | {"count": in_ten}, minute | {"count": in_minute}]

    def _run(self, method: str, raw: dict[str, Any], reply: Reply) -> Any:
        exchange = self._exchange
        rest.refuse_maintenance(exchange)
        exchange.rates.check_ban(self._ip, exchange.now_ms)
        if method in PLAIN:
            return self._plain(method, raw)
        row = METHODS.get(method)
        if row is None:
            raise Refusal(-1000, text=f"Unknown method '{method[:64]}'.")
        endpoint = rest.table()[row]
        params = Parameters({name: _spelled(value) for name, value in raw.items()})
        weight = endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(params)
        exchange.rates.spend_weight(self._ip, weight, exchange.now_ms)
        credential: Credential | None = None
        if endpoint.security != "none":
            credential = self._who(raw, trade=endpoint.trade)
        name = credential.account if credential else ""
        rule, exempt = None, False
        if exchange.faults:
            facts = rest.request_facts(*row, params, name, "ws_api") | {"method": method}
            rule = exchange.faults.take(faults.request_kinds(row[0]), facts, exchange.now_ms)
            exempt = rest.exempt_from_overload(facts)
        held = rest.Response()
        try:
            rest.before(exchange, rule, held, exempt=exempt)
            if endpoint.security == "signed" and credential is not None:
                self._check(credential, raw, params)
            run = rest.runner(exchange, endpoint, params, credential, self._ip, rule)
            return rest.after(rule, run)
        finally:
            reply.delay_ms, reply.drop = held.delay_ms, held.drop

    def _who(self, raw: Mapping[str, Any], *, trade: bool) -> Credential:
        api_key = raw.get("apiKey")
        if api_key is None and self._credential is not None:
            return rest.credential_of(self._exchange, self._credential.api_key, trade=trade)
        if not isinstance(api_key, str):
            raise missing("apiKey")
        return rest.credential_of(self._exchange, api_key, trade=trade)

    def _check(self, credential: Credential, raw: Mapping[str, Any], params: Parameters) -> None:
        """Hold a request's signature and time against what they must be."""
        signature = raw.get("signature")
        if signature is None and credential is self._credential:
            rest.check_time(self._exchange, params)
            return
        if not isinstance(signature, str) or not signature:
            raise missing("signature")
        if not signatures.verify(credential, signatures.websocket_payload(raw), signature):
            raise Refusal(-1022)
        rest.check_time(self._exchange, params)

    def _plain(self, method: str, raw: Mapping[str, Any]) -> Any:
        exchange = self._exchange
        weight = LOGON_WEIGHT if method.startswith("session.") else 1
        exchange.rates.spend_weight(self._ip, weight, exchange.now_ms)
        if method == "ping":
            return {}
        if method == "time":
            return {"serverTime": exchange.server_ms}
        if method == "session.logon":
            self._log_on(raw)
        elif method == "session.logout":
            self._credential, self._logged_on_ms = None, None
        return {
            "apiKey": self._credential.api_key if self._credential else None,
            "authorizedSince": self._logged_on_ms,
            "connectedSince": self._since_ms,
            "returnRateLimits": self.return_rate_limits,
            "serverTime": exchange.server_ms,
        }

    def _log_on(self, raw: Mapping[str, Any]) -> None:
        api_key = raw.get("apiKey")
        if not isinstance(api_key, str):
            raise missing("apiKey")
        credential = rest.credential_of(self._exchange, api_key, trade=False)
        if credential.kind != "ED25519":
            raise Refusal(
                -4056, status=401, text="HMAC_SHA256 API key is not supported. Use Ed25519."
            )
        params = Parameters({name: _spelled(value) for name, value in raw.items()})
        self._check(credential, raw, params)
        self._credential, self._logged_on_ms = credential, self._exchange.server_ms


def _frame(message: Any) -> tuple[Any, str, dict[str, Any]]:
    """Return id, method and parameters of a request frame."""
    if not isinstance(message, dict):
        raise Refusal(-1135, text="A request must be a JSON object.")
    number = message.get("id")
    if isinstance(number, bool | float | list | dict):
        raise missing("id")
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        raise missing("method")
    if not isinstance(params, dict):
        raise missing("params")
    return number, method, params


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return orjson.dumps(value).decode()
    return "" if value is None else str(value)
