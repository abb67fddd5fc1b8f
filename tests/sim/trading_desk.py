"""A simulated exchange in the test's own process, under virtual time, and a client that signs."""

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from reactor.sim.connection import Connection
from reactor.sim.rest import Request, Response
from reactor.sim.simulation import Simulation

START_MS = 1_795_000_000_000


class Refused(Exception):  # noqa: N818 -- it is an answer, not a failure
    """The exchange answered with a code."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.code = body["code"]
        self.text = body["msg"]


class Desk:
    """One client of an in-process exchange."""

    def __init__(self, simulation: Simulation, key: str = "sim-key", secret: str = "sim-secret"):
        self.simulation = simulation
        self.exchange = simulation.exchange
        self.key = key
        self.secret = secret

    def raw(self, method: str, path: str, query: str = "", body: str = "") -> Response:
        return self.simulation.request(
            Request(
                method=method,
                path=path,
                query=query,
                body=body,
                headers={"x-mbx-apikey": self.key},
            )
        )

    def signed(self, params: dict[str, Any]) -> str:
        params = {k: v for k, v in params.items() if v is not None}
        params.setdefault("timestamp", self.exchange.server_ms)
        text = urlencode(params)
        digest = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return f"{text}&signature={digest}"

    def ask(self, method: str, path: str, **params: Any) -> Any:
        response = self.raw(method, path, self.signed(params))
        body = json.loads(response.body)
        if response.status != 200:
            raise Refused(response.status, body)
        return body

    def open(self, path: str, **params: Any) -> Any:
        response = self.raw("GET", path, urlencode(params))
        body = json.loads(response.body)
        if response.status != 200:
            raise Refused(response.status, body)
        return body

    def order(self, **params: Any) -> Any:
        defaults = {"symbol": "BTCUSDT", "type": "MARKET", "newOrderRespType": "RESULT"}
        return self.ask("POST", "/fapi/v1/order", **(defaults | params))

    def algo(self, **params: Any) -> Any:
        defaults = {
            "algoType": "CONDITIONAL",
            "symbol": "BTCUSDT",
            "type": "STOP_MARKET",
            "side": "SELL",
        }
        return self.ask("POST", "/fapi/v1/algoOrder", **(defaults | params))

    def positions(self) -> dict[tuple[str, str], Decimal]:
        rows = self.ask("GET", "/fapi/v3/positionRisk")
        return {(r["symbol"], r["positionSide"]): Decimal(r["positionAmt"]) for r in rows}

    def control(self, path: str, method: str = "POST", **body: Any) -> Any:
        return self.script(path, body, method)

    def script(self, path: str, body: Any, method: str = "POST") -> Any:
        response = self.simulation.request(
            Request(method=method, path=f"/sim/{path}", body=json.dumps(body))
        )
        answer = json.loads(response.body)
        if response.status != 200:
            raise Refused(
                response.status, answer if "code" in answer else {"code": 0, "msg": answer}
            )
        return answer

    def fault(self, **rule: Any) -> Any:
        return self.script("faults", [rule])

    def user_stream(self) -> Connection:
        key = json.loads(self.raw("POST", "/fapi/v1/listenKey").body)["listenKey"]
        connection = self.simulation.connect(f"/private/ws?listenKey={key}")
        assert connection is not None
        return connection

    def wait(self, ms: int) -> None:
        self.simulation.advance(self.exchange.now_ms + ms)

    def price(self, price: str, symbol: str = "BTCUSDT", mark: str | None = None) -> None:
        extra = {} if mark is None else {"mark": mark}
        self.control("price", symbol=symbol, price=price, **extra)


def told(connection: Connection) -> list[dict[str, Any]]:
    """Take the JSON frames that a connection was sent."""
    frames = [json.loads(item) for item in connection.pending if isinstance(item, bytes)]
    connection.pending.clear()
    return frames
