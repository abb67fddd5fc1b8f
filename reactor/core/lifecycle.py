"""The life-cycle of a position's exit orders: a table that covers every state and every event.

Everything that decides whether an exit order may be sent lives in this file. Price rules (`machine.py`)
say what they want; this table says what that means while an earlier order still awaits its outcome. An
event that makes no sense in a state changes nothing and raises an alarm.

Two kinds of exits differ in what follows a failure. A *partial* one (rungs, harvests) is never sent
twice: what did not fill is dropped, or retried as a new decision while the price is still beyond its
level. A *full* one (stops, guards, time stops, by hand) is pursued until the position is flat, and is
repeated only after the exchange was asked.

`docs/machine.md` shows the table as it stands here; a test compares the two.
"""

from enum import StrEnum


class State(StrEnum):
    """What is under way for one epoch."""

    WATCHING = "watching"
    """No exit order awaits an outcome; every rule may fire."""
    REDUCING = "reducing"
    """A partial exit is on its way."""
    REDUCING_UNKNOWN = "reducing_unknown"
    """A partial exit's outcome is unknown; the exchange has been asked."""
    CLOSING = "closing"
    """A full close is on its way. A partial one may be under it."""
    CLOSING_UNKNOWN = "closing_unknown"
    """A full close's outcome is unknown; the exchange has been asked."""
    PURSUING = "pursuing"
    """A full close was decided and refused; it is sent again when the retry is due."""
    SETTLING = "settling"
    """A full close is filled whole; the position's own report of being flat is awaited."""
    ENDED = "ended"
    """The epoch is over. Nothing of it reaches the next one."""


class Event(StrEnum):
    """What can happen to an epoch's orders."""

    WANT_PARTIAL = "want_partial"
    """A rung or a harvest fired."""
    WANT_FULL = "want_full"
    """A stop, a guard, the time stop or a person wants everything closed."""
    ACCEPTED = "accepted"
    """The exchange has the order; fills will follow."""
    FILLED = "filled"
    """The order is filled whole."""
    LAPSED = "lapsed"
    """The order ended with a rest unfilled (expired, cancelled)."""
    REJECTED = "rejected"
    """The exchange refused the order: nothing of it was executed."""
    UNKNOWN = "unknown"
    """Time-out, dropped socket, -1006, -1007, 5xx: nobody knows."""
    FOUND_OPEN = "found_open"
    """Asked: the order is there and still working."""
    FOUND_ABSENT = "found_absent"
    """Asked: the order never reached the exchange, proved."""
    STILL_OPEN = "still_open"
    """Asked: the position is open, in a snapshot younger than the order's end."""
    DUE = "due"
    """The clock of an unknown outcome or of a retry ran out."""
    FLAT = "flat"
    """The position is closed, by whomever."""


class Action(StrEnum):
    """What the machine does when an event moves the state."""

    NOTHING = "nothing"
    SEND_PARTIAL = "send_partial"
    SEND_FULL = "send_full"
    ASK = "ask"
    KEEP_REST = "keep_rest"
    """Retry what did not fill as a new decision while the price is beyond the level, else drop it."""
    TAKE_POSITION = "take_position"
    """Give the order up and take the position's size, as the exchange reports it, for the truth."""
    RETRY_LATER = "retry_later"
    AWAIT_FLAT = "await_flat"
    """Give the position's report time to arrive, then ask for it."""
    END = "end"
    ALARM = "alarm"


_S, _E, _A = State, Event, Action

TRANSITIONS: dict[State, dict[Event, tuple[State, Action]]] = {
    _S.WATCHING: {
        _E.WANT_PARTIAL: (_S.REDUCING, _A.SEND_PARTIAL),
        _E.WANT_FULL: (_S.CLOSING, _A.SEND_FULL),
        # Late news of an order whose end was already known.
        _E.ACCEPTED: (_S.WATCHING, _A.NOTHING),
        _E.FILLED: (_S.WATCHING, _A.NOTHING),
        _E.LAPSED: (_S.WATCHING, _A.NOTHING),
        _E.REJECTED: (_S.WATCHING, _A.ALARM),
        _E.UNKNOWN: (_S.WATCHING, _A.NOTHING),
        _E.FOUND_OPEN: (_S.WATCHING, _A.ALARM),
        _E.FOUND_ABSENT: (_S.WATCHING, _A.NOTHING),
        _E.STILL_OPEN: (_S.WATCHING, _A.NOTHING),
        _E.DUE: (_S.WATCHING, _A.NOTHING),
        _E.FLAT: (_S.ENDED, _A.END),
    },
    _S.REDUCING: {
        _E.WANT_PARTIAL: (_S.REDUCING, _A.NOTHING),
        _E.WANT_FULL: (_S.CLOSING, _A.SEND_FULL),
        _E.ACCEPTED: (_S.REDUCING, _A.NOTHING),
        _E.FILLED: (_S.WATCHING, _A.NOTHING),
        _E.LAPSED: (_S.WATCHING, _A.KEEP_REST),
        # Refused is no partial fill: the level is dropped (the rung stays taken), and somebody told.
        _E.REJECTED: (_S.WATCHING, _A.ALARM),
        _E.UNKNOWN: (_S.REDUCING_UNKNOWN, _A.ASK),
        _E.FOUND_OPEN: (_S.REDUCING, _A.NOTHING),
        _E.FOUND_ABSENT: (_S.REDUCING, _A.NOTHING),
        _E.STILL_OPEN: (_S.REDUCING, _A.NOTHING),
        _E.DUE: (_S.REDUCING, _A.NOTHING),
        _E.FLAT: (_S.ENDED, _A.END),
    },
    _S.REDUCING_UNKNOWN: {
        _E.WANT_PARTIAL: (_S.REDUCING_UNKNOWN, _A.NOTHING),
        _E.WANT_FULL: (_S.CLOSING, _A.SEND_FULL),
        _E.ACCEPTED: (_S.REDUCING, _A.NOTHING),
        _E.FILLED: (_S.WATCHING, _A.NOTHING),
        _E.LAPSED: (_S.WATCHING, _A.KEEP_REST),
        # Refused is no partial fill: the level is dropped (the rung stays taken), and somebody told.
        _E.REJECTED: (_S.WATCHING, _A.ALARM),
        _E.UNKNOWN: (_S.REDUCING_UNKNOWN, _A.NOTHING),
        _E.FOUND_OPEN: (_S.REDUCING, _A.NOTHING),
        _E.FOUND_ABSENT: (_S.WATCHING, _A.KEEP_REST),
        _E.STILL_OPEN: (_S.REDUCING_UNKNOWN, _A.NOTHING),
        _E.DUE: (_S.WATCHING, _A.TAKE_POSITION),
        _E.FLAT: (_S.ENDED, _A.END),
    },
    _S.CLOSING: {
        _E.WANT_PARTIAL: (_S.CLOSING, _A.NOTHING),
        _E.WANT_FULL: (_S.CLOSING, _A.NOTHING),
        _E.ACCEPTED: (_S.CLOSING, _A.NOTHING),
        _E.FILLED: (_S.SETTLING, _A.AWAIT_FLAT),
        _E.LAPSED: (_S.CLOSING, _A.SEND_FULL),
        _E.REJECTED: (_S.PURSUING, _A.RETRY_LATER),
        _E.UNKNOWN: (_S.CLOSING_UNKNOWN, _A.ASK),
        _E.FOUND_OPEN: (_S.CLOSING, _A.NOTHING),
        _E.FOUND_ABSENT: (_S.CLOSING, _A.NOTHING),
        _E.STILL_OPEN: (_S.CLOSING, _A.NOTHING),
        _E.DUE: (_S.CLOSING, _A.NOTHING),
        _E.FLAT: (_S.ENDED, _A.END),
    },
    _S.CLOSING_UNKNOWN: {
        _E.WANT_PARTIAL: (_S.CLOSING_UNKNOWN, _A.NOTHING),
        _E.WANT_FULL: (_S.CLOSING_UNKNOWN, _A.NOTHING),
        _E.ACCEPTED: (_S.CLOSING, _A.NOTHING),
        _E.FILLED: (_S.SETTLING, _A.AWAIT_FLAT),
        _E.LAPSED: (_S.CLOSING, _A.SEND_FULL),
        _E.REJECTED: (_S.PURSUING, _A.RETRY_LATER),
        _E.UNKNOWN: (_S.CLOSING_UNKNOWN, _A.NOTHING),
        _E.FOUND_OPEN: (_S.CLOSING, _A.NOTHING),
        _E.FOUND_ABSENT: (_S.CLOSING, _A.SEND_FULL),
        _E.STILL_OPEN: (_S.CLOSING_UNKNOWN, _A.NOTHING),
        # Asked and unanswered: a duplicate of a full close is harmless, waiting is not.
        _E.DUE: (_S.CLOSING, _A.SEND_FULL),
        _E.FLAT: (_S.ENDED, _A.END),
    },
    _S.PURSUING: {
        _E.WANT_PARTIAL: (_S.PURSUING, _A.NOTHING),
        _E.WANT_FULL: (_S.PURSUING, _A.NOTHING),
        _E.ACCEPTED: (_S.CLOSING, _A.ALARM),
        _E.FILLED: (_S.PURSUING, _A.NOTHING),
        _E.LAPSED: (_S.PURSUING, _A.NOTHING),
        _E.REJECTED: (_S.PURSUING, _A.NOTHING),
        _E.UNKNOWN: (_S.PURSUING, _A.NOTHING),
        _E.FOUND_OPEN: (_S.CLOSING, _A.ALARM),
        _E.FOUND_ABSENT: (_S.PURSUING, _A.NOTHING),
        _E.STILL_OPEN: (_S.PURSUING, _A.NOTHING),
        _E.DUE: (_S.CLOSING, _A.SEND_FULL),
        _E.FLAT: (_S.ENDED, _A.END),
    },
    _S.SETTLING: {
        _E.WANT_PARTIAL: (_S.SETTLING, _A.NOTHING),
        _E.WANT_FULL: (_S.SETTLING, _A.NOTHING),
        _E.ACCEPTED: (_S.SETTLING, _A.NOTHING),
        _E.FILLED: (_S.SETTLING, _A.NOTHING),
        _E.LAPSED: (_S.SETTLING, _A.NOTHING),
        _E.REJECTED: (_S.SETTLING, _A.NOTHING),
        _E.UNKNOWN: (_S.SETTLING, _A.NOTHING),
        _E.FOUND_OPEN: (_S.SETTLING, _A.NOTHING),
        _E.FOUND_ABSENT: (_S.SETTLING, _A.NOTHING),
        # It grew while it was being closed: the close's outcome is known, so the rest may follow.
        _E.STILL_OPEN: (_S.CLOSING, _A.SEND_FULL),
        _E.DUE: (_S.SETTLING, _A.ASK),
        _E.FLAT: (_S.ENDED, _A.END),
    },
    _S.ENDED: dict.fromkeys(Event, (_S.ENDED, _A.NOTHING)),
}

EXITING = frozenset({State.CLOSING, State.CLOSING_UNKNOWN, State.PURSUING, State.SETTLING})
"""The states in which a full close is decided: no rule is looked at, the price coming back or not."""


def transition_table() -> str:
    """The table as Markdown, for the documentation and the test that keeps it true."""
    lines = ["| state | event | next state | action |", "|---|---|---|---|"]
    for state, events in TRANSITIONS.items():
        for event, (following, action) in events.items():
            lines.append(f"| {state} | {event} | {following} | {action} |")
    return "\n".join(lines) + "\n"


def transition_diagram() -> str:
    """The table as a Mermaid diagram: every change of state, and every action that keeps one."""
    edges: dict[tuple[State, State, Action], list[Event]] = {}
    for state, events in TRANSITIONS.items():
        for event, (following, action) in events.items():
            if following is not state or action is not Action.NOTHING:
                edges.setdefault((state, following, action), []).append(event)
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(TRANSITIONS))}"]
    for (state, following, action), causes in edges.items():
        does = "" if action is Action.NOTHING else f" / {action}"
        lines.append(f"    {state} --> {following} : {', '.join(causes)}{does}")
    lines.append(f"    {State.ENDED} --> [*]")
    return "\n".join(lines) + "\n"
