"""Output lines in a few words, for tables of expectations."""

from collections.abc import Sequence
from typing import Any


def _number(value: Any) -> str | None:
    if value is None:
        return None
    return f"{float(value):.10g}"


def brief(lines: Sequence[dict[str, Any]]) -> list[str]:
    said = []
    for line in lines:
        match line["type"]:
            case "opened":
                said.append(f"opened stop {_number(line['stop'])}")
            case "stop":
                said.append(f"{line['kind']} {_number(line['stop'])}")
            case "exit":
                reasons = "+".join(line["reasons"])
                said.append(f"exit {reasons} {_number(line['quantity'])}")
            case "closed":
                said.append(f"closed {line['reason']} {_number(line['realized'])}")
    return said
