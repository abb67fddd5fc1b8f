"""Which alarms people are told, and when: an alarm once, its repeats no more often than wanted, its end.

What a person last heard of an alarm is in the end always true: an alarm that comes back soon after its end
is told as soon as the interval allows, never swallowed.
"""

import msgspec

from reactor.audit import AlarmRaised


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What people are told. `repeated`: how often it was raised since they last heard of it, besides this."""

    alarm: AlarmRaised
    t_ns: int
    repeated: int = 0


class _Known(msgspec.Struct):
    alarm: AlarmRaised
    raised: bool = True
    told_raised: bool = False
    told_ns: int = 0
    raises: int = 0


class Suppression:
    """Decides on messages.

    Args:
        repeat_s: how long an alarm's repeats are held back, in seconds.
        keys_max: how many alarms are remembered; the oldest over make room, then the oldest.

    Attributes:
        suppressed: how many raises led to no message of their own.
    """

    def __init__(self, *, repeat_s: float, keys_max: int = 1024) -> None:
        self._repeat_ns = round(repeat_s * 1e9)
        self._keys_max = keys_max
        self._known: dict[str, _Known] = {}
        self.suppressed = 0

    def take(self, key: str, alarm: AlarmRaised, *, now_ns: int) -> Message | None:
        """Takes an alarm, or its end; answers with what people are to be told now."""
        known = self._known.get(key)
        if known is None:
            if alarm.resolved:
                return None
            self._make_room()
            known = self._known[key] = _Known(alarm)
        known.raised = not alarm.resolved
        if known.raised or known.told_raised:
            known.alarm = alarm
        if known.raised:
            known.raises += 1
        message = self._tell(known, now_ns)
        if message is None and known.raised:
            self.suppressed += 1
        return message

    def due(self, *, now_ns: int) -> list[Message]:
        """What was held back and may be told by now."""
        told = [self._tell(known, now_ns) for known in self._known.values() if known.raises]
        return [message for message in told if message is not None]

    def _tell(self, known: _Known, now_ns: int) -> Message | None:
        if not known.raised:
            # Over. Who never heard of it need not hear that.
            known.raises = 0
            if not known.told_raised:
                return None
            known.told_raised = False
            return Message(alarm=known.alarm, t_ns=now_ns)
        if not known.raises or (known.told_ns and now_ns < known.told_ns + self._repeat_ns):
            return None
        message = Message(alarm=known.alarm, t_ns=now_ns, repeated=known.raises - 1)
        known.raises = 0
        known.told_raised = True
        known.told_ns = now_ns
        return message

    def _make_room(self) -> None:
        if len(self._known) < self._keys_max:
            return
        over = next((key for key, known in self._known.items() if not known.raised), None)
        del self._known[over if over is not None else next(iter(self._known))]
