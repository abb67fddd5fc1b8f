"""What the exchange says when it refuses: error codes, their HTTP status and their text.

The texts are Binance's own wording where it is known; clients match on the number. One table, so
that a test can walk over it and name the condition that causes each code.
"""

from typing import Final

from reactor.errors import RequestRefused

# code -> (HTTP status, text). Braces are filled in where the refusal is raised.
TABLE: Final[dict[int, tuple[int, str]]] = {
    -1000: (400, "An unknown error occurred while processing the request."),
    -1001: (500, "Internal error; unable to process your request. Please try again."),
    -1003: (
        429,
        (
            "Too many requests; current limit of IP({ip}) is {limit} requests per minute. Please use "
            "the websocket for live updates to avoid polling the API."
        ),
    ),
    -1006: (
        500,
        "An unexpected response was received from the message bus. Execution status unknown.",
    ),
    -1007: (
        408,
        (
            "Timeout waiting for response from backend server. Send status unknown; "
            "execution status unknown."
        ),
    ),
    -1008: (503, "Request throttled by system-level protection. Please try again."),
    -1015: (429, "Too many new orders; current limit is {limit} orders per {interval}."),
    -1021: (400, "Timestamp for this request is outside of the recvWindow."),
    -1022: (400, "Signature for this request is not valid."),
    -1023: (400, "Start time is greater than end time."),
    -1100: (400, "Illegal characters found in parameter '{name}'; legal range is '{legal}'."),
    -1102: (
        400,
        "Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    ),
    -1105: (400, "Parameter '{name}' was empty."),
    -1106: (400, "Parameter '{name}' sent when not required."),
    -1111: (400, "Precision is over the maximum defined for this asset."),
    -1115: (400, "Invalid timeInForce."),
    -1116: (400, "Invalid orderType."),
    -1117: (400, "Invalid side."),
    -1120: (400, "Invalid interval."),
    -1121: (400, "Invalid symbol."),
    -1122: (400, "Invalid symbol status."),
    -1125: (400, "This listenKey does not exist."),
    -1128: (400, "Combination of optional parameters invalid."),
    -1130: (400, "Data sent for parameter '{name}' is not valid."),
    -1131: (400, "recvWindow must be less than 60000"),
    -1136: (400, "Invalid newOrderRespType."),
    -2011: (400, "Unknown order sent."),
    -2013: (400, "Order does not exist."),
    -2014: (401, "API-key format invalid."),
    -2015: (401, "Invalid API-key, IP, or permissions for action."),
    -2018: (400, "Balance is insufficient."),
    -2019: (400, "Margin is insufficient."),
    -2021: (400, "Order would immediately trigger."),
    -2022: (400, "ReduceOnly Order is rejected."),
    -2025: (400, "Reach max open order limit."),
    -2027: (400, "Exceeded the maximum allowable position at current leverage."),
    -4002: (400, "Price greater than max price."),
    -4003: (400, "Quantity less than or equal to zero."),
    -4004: (400, "Quantity less than min quantity."),
    -4005: (400, "Quantity greater than max quantity."),
    -4006: (400, "Stop price less than or equal to zero."),
    -4013: (400, "Price less than min price."),
    -4014: (400, "Price not increased by tick size."),
    -4015: (400, "Client order id is not valid."),
    -4016: (400, "Limit price can't be higher than {bound}."),
    -4023: (400, "Qty not increased by step size."),
    -4024: (400, "Limit price can't be lower than {bound}."),
    -4028: (400, "Leverage {leverage} is not valid"),
    -4031: (400, "Invalid parameter working type: {value}"),
    -4045: (400, "Reach max stop order limit."),
    -4046: (400, "No need to change margin type."),
    -4047: (400, "Margin type cannot be changed if there exists open orders."),
    -4048: (400, "Margin type cannot be changed if there exists position."),
    -4049: (400, "Add margin only support for isolated position."),
    -4050: (400, "Cross balance insufficient."),
    -4051: (400, "Isolated balance insufficient."),
    -4054: (400, "Cannot add position margin: position is 0."),
    -4055: (400, "Amount must be positive."),
    -4059: (400, "No need to change position side."),
    -4060: (400, "Invalid position side."),
    -4061: (400, "Order's position side does not match user's setting."),
    -4062: (400, "Invalid or improper reduceOnly value."),
    -4067: (400, "Position side cannot be changed if there exists open orders."),
    -4068: (400, "Position side cannot be changed if there exists position."),
    -4082: (400, "Invalid number of batch place orders."),
    -4087: (400, "User can only place reduce only order"),
    -4104: (400, "Invalid contract type"),
    -4105: (400, "Symbol is under position risk control, only reduce-only order is allowed."),
    -4106: (
        400,
        "Symbol is under position risk control, buy order can only works with reduce-only.",
    ),
    -4107: (
        400,
        "Symbol is under position risk control, sell order can only works with reduce-only.",
    ),
    -4116: (400, "ClientOrderId is duplicated."),
    -4117: (400, "Stop order is in triggering process, please try again later."),
    -4118: (
        400,
        "ReduceOnly Order Failed. Please check your existing position and open orders.",
    ),
    -4120: (
        400,
        (
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints "
            "instead."
        ),
    ),
    -4130: (
        400,
        (
            "An open stop or take profit order with GTE and closePosition in the direction is "
            "existing."
        ),
    ),
    -4131: (
        400,
        "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    ),
    -4136: (400, "Target strategy invalid for orderType '{type}',closePosition 'true'."),
    -4137: (400, "Quantity must be zero with closePosition equals true."),
    -4138: (400, "Reduce only must be true with closePosition equals true."),
    -4161: (
        400,
        "Leverage reduction is not supported in Isolated Margin Mode with open positions",
    ),
    -4164: (
        400,
        "Order's notional must be no smaller than {notional} (unless you choose reduce only).",
    ),
    -4165: (400, "Maximum time interval is {days} days"),
    -4171: (
        400,
        ("Adjusted asset mode is currently set and does not need to be adjusted repeatedly."),
    ),
    -4183: (400, "Limit price can't be higher than {bound}."),
    -4184: (400, "Limit price can't be lower than {bound}."),
    -4189: (
        400,
        "Restricted account permission: can only place reduceOnly order on the symbol.",
    ),
    -4192: (400, "Trade forbidden due to Cooling-off Period."),
    -4210: (400, "Stop price is higher than stop price multiplier cap."),
    -4211: (400, "Stop price is lower than stop price multiplier floor."),
    -4400: (
        400,
        (
            "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, please "
            "try again later."
        ),
    ),
    -4401: (
        400,
        (
            "Futures Trading Risk Control Rules of large position holding violated, only reduceOnly "
            "order is allowed, please reduce the position."
        ),
    ),
    -4509: (400, "Time in Force (TIF) GTE can only be used with open positions."),
    -4531: (
        400,
        "Position side cannot be changed: the account has COIN-M orders or positions.",
    ),
    -5000: (404, "Path {path}, Method {method} is invalid"),
    -5021: (
        400,
        (
            "Due to the order could not be filled immediately, the FOK order has been rejected. "
            "The order will not be recorded in the order history"
        ),
    ),
    -5022: (
        400,
        (
            "Due to the order could not be executed as maker, the Post Only order will be rejected. "
            "The order will not be recorded in the order history"
        ),
    ),
    -5027: (400, "No need to modify the order."),
    -5028: (400, "Timestamp for this request is outside of the ME recvWindow."),
    -5037: (400, "Invalid price match"),
    -5038: (400, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT"),
    -5039: (400, "Invalid self trade prevention mode"),
    -5040: (
        400,
        (
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and "
            "smaller than 253402300799000 (UTC 9999-12-31 23:59:59)"
        ),
    ),
    -5041: (400, "No depth matches this BBO order"),
}


class Refusal(RequestRefused):
    """The simulated exchange says no: an answer with a code, not a failure of the program."""

    def __init__(
        self, code: int, *, status: int | None = None, text: str | None = None, **fill: object
    ) -> None:
        http, template = TABLE.get(code, (400, "Unknown error."))
        self.code = code
        self.status = http if status is None else status
        self.text = template.format(**fill) if text is None else text
        self.headers: dict[str, str] = {}
        super().__init__(f"{code} {self.text}")

    def body(self) -> dict[str, object]:
        """Return the JSON body that Binance sends: ``{"code": …, "msg": …}``."""
        return {"code": self.code, "msg": self.text}


def missing(name: str) -> Refusal:
    """Return the refusal for a mandatory parameter that is absent or unreadable."""
    return Refusal(-1102, name=name.lower())
