"""The listen key that the private socket is opened with: got, renewed, lost.

There is one key an account, shared by every process of it: asking for one gives the same key again and
prolongs it, and whoever deletes it deletes it for all (binance.md §3).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import orjson

from reactor.clock import Clock
from reactor.errors import Unreachable
from reactor.shell.rest_seam import Purpose, RestAnswer

PATH: Final = "/fapi/v1/listenKey"
VALID_S: Final = 3600.0
"""After the last renewal."""
USABLE_S: Final = 3000.0
"""How long a key is trusted without being renewed, with a margin for a clock that is off."""
ANSWER_WITHIN_S: Final = 5.0
DOES_NOT_EXIST: Final = -1125
KEY_REFUSED: Final = frozenset({-2014, -2015})
"""The API key itself is malformed, unknown, or may not do this."""
_NS: Final = 1_000_000_000

Renewal = Literal["kept", "changed", "gone"]


class AsksRest(Protocol):
    """What is needed of a REST client."""

    async def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        purpose: Purpose,
        signed: bool,
        timeout_s: float,
    ) -> RestAnswer:
        """Sends one request once; unsigned ones still name the API key.

        Raises:
            Unreachable: no usable answer.
        """
        ...


class ListenKey:
    """The account's listen key.

    Args:
        rest: asks for it.
        clock: when it was renewed.
        add_secret: told a key before it is used, so that nothing writes it down.

    Attributes:
        value: the key; empty without one. Never to be shown.
        renewed_ns: when it was got or prolonged.
        refused_code: why the exchange refused the last request; None where it did not.
    """

    def __init__(self, rest: AsksRest, clock: Clock, add_secret: Callable[[bytes], None]) -> None:
        self.value = ""
        self.renewed_ns = 0
        self.refused_code: int | None = None
        self._rest = rest
        self._clock = clock
        self._add_secret = add_secret

    def __repr__(self) -> str:
        return f"ListenKey({'known' if self.value else 'none'})"

    @property
    def age_s(self) -> float:
        """Seconds since it was got or prolonged."""
        return (self._clock.now_ns() - self.renewed_ns) / _NS

    @property
    def is_usable(self) -> bool:
        """Whether there is one that is surely still valid, unless somebody deleted it."""
        return bool(self.value) and self.age_s < USABLE_S

    def forget(self) -> None:
        """It is of no use any more."""
        self.value = ""

    async def obtain(self) -> None:
        """Gets a key, or prolongs the one that the account has.

        Raises:
            Unreachable: no answer, or a refusal.
        """
        answer = await self._ask("POST")
        key = self._key_in(answer)
        if answer.status != 200 or not key:
            raise Unreachable(self._refusal(answer))
        self._keep(key)

    async def renew(self) -> Renewal:
        """Prolongs the key by an hour.

        Returns:
            Whether it is still the same one, another one, or does not exist any more.

        Raises:
            Unreachable: no answer, or another refusal.
        """
        before = self.value
        answer = await self._ask("PUT")
        if self.value != before:
            return "kept"  # another one was got while this was on its way
        if answer.status == 200:
            key = self._key_in(answer) or before
            self._keep(key)
            return "kept" if key == before else "changed"
        reason = self._refusal(answer)
        if self.refused_code == DOES_NOT_EXIST:
            return "gone"
        raise Unreachable(reason)

    async def _ask(self, method: str) -> RestAnswer:
        self.refused_code = None
        return await self._rest.send(
            method, PATH, {}, purpose="account", signed=False, timeout_s=ANSWER_WITHIN_S
        )

    def _keep(self, key: str) -> None:
        self._add_secret(key.encode())
        self.value = key
        self.renewed_ns = self._clock.now_ns()

    def _key_in(self, answer: RestAnswer) -> str:
        key = _content(answer).get("listenKey")
        return key if isinstance(key, str) else ""

    def _refusal(self, answer: RestAnswer) -> str:
        code = _content(answer).get("code")
        self.refused_code = code if isinstance(code, int) else None
        said = "" if self.refused_code is None else f", code {self.refused_code}"
        return f"no listen key: HTTP {answer.status}{said}"


def _content(answer: RestAnswer) -> dict[str, Any]:
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
