"""Reading request parameters, and the refusals for unreadable ones."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from reactor.sim.refusals import Refusal, missing

DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?\Z")
INTEGER: Final = re.compile(r"[0-9]{1,20}\Z")
CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}\Z")
DECIMAL_LEGAL: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
INTEGER_LEGAL: Final = r"^[0-9]{1,20}$"


class Parameters:
    """The parameters of one request, as strings."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def as_dict(self) -> Mapping[str, str]:
        """Return them all."""
        return self._values

    def text(self, name: str, default: str = "") -> str:
        """Return an optional text.

        Raises:
            Refusal: -1105, it was sent empty.
        """
        value = self._values.get(name)
        if value is None:
            return default
        if not value:
            raise Refusal(-1105, name=name)
        return value

    def needed(self, name: str) -> str:
        """Return a mandatory text.

        Raises:
            Refusal: -1102, it is absent or empty.
        """
        value = self._values.get(name)
        if not value:
            raise missing(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return an optional integer.

        Raises:
            Refusal: -1105 or -1100.
        """
        value = self.text(name)
        if not value:
            return None
        if not INTEGER.match(value):
            raise Refusal(-1100, name=name, legal=INTEGER_LEGAL)
        return int(value)

    def limit(self, default: int, maximum: int) -> int:
        """Return ``limit`` within its bounds.

        Raises:
            Refusal: -1130, it is 0 or above ``maximum``.
        """
        value = self.integer("limit")
        if value is None:
            return default
        if not 1 <= value <= maximum:
            raise Refusal(-1130, name="limit")
        return value

    def decimal(self, name: str) -> Decimal | None:
        """Return an optional decimal.

        Raises:
            Refusal: -1105 or -1100.
        """
        value = self.text(name)
        if not value:
            return None
        if not DECIMAL.match(value.removeprefix("-")):
            raise Refusal(-1100, name=name, legal=DECIMAL_LEGAL)
        return Decimal(value)

    def flag(self, name: str) -> bool | None:
        """Return an optional ``true``/``false``.

        Raises:
            Refusal: -1105 or -1130.
        """
        value = self.text(name).lower()
        if not value:
            return None
        if value not in {"true", "false"}:
            raise Refusal(-1130, name=name)
        return value == "true"

    def choice(self, name: str, allowed: frozenset[str], code: int) -> str:
        """Return a mandatory word out of a list.

        Raises:
            Refusal: -1102 when absent, ``code`` when not in the list.
        """
        value = self.needed(name)
        if value not in allowed:
            raise Refusal(code)
        return value

    def client_id(self, name: str) -> str:
        """Return an optional client id.

        Raises:
            Refusal: -4015, longer than 36 characters or with characters that are not allowed.
        """
        value = self.text(name)
        if value and not CLIENT_ID.match(value):
            if len(value) > 36:
                raise Refusal(-4015, text="Client order id length should not be more than 36 chars")
            raise Refusal(-4015)
        return value
