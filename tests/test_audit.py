"""The audit stream: numbered, ordered, the same for everybody who watches."""

from reactor.audit import AlarmRaised, Audit, AuditEvent, LinkChanged, Noted, Stopped


def test_nobody_is_told_a_secret_whatever_an_error_says() -> None:
    audit = Audit(mask=lambda text: text.replace("hidden", "***"))
    texts: list[str] = []
    audit.watch(lambda event: texts.append(repr(event.what)))
    audit.publish(AlarmRaised(kind="crash", text="a hidden key"), t_ns=1)
    audit.publish(Stopped(reason="hidden"), t_ns=2)
    audit.publish(LinkChanged(stream="private", state="down", reason="no hidden"), t_ns=3)
    assert len(texts) == 3
    assert all("***" in text and "hidden" not in text for text in texts)


def test_everybody_hears_everything_in_order_whoever_publishes_when() -> None:
    audit = Audit()
    first: list[int] = []
    last: list[int] = []

    def answers(event: AuditEvent) -> None:
        first.append(event.number)
        if isinstance(event.what, Stopped):
            for count in (1, 2):
                audit.publish(Noted(kind="echo", text="", count=count), t_ns=event.t_ns)

    def fails(_: AuditEvent) -> None:
        raise ValueError("no")

    audit.watch(answers)
    audit.watch(fails)
    audit.watch(lambda event: last.append(event.number))
    audit.publish(Stopped(reason="asked to"), t_ns=1)
    audit.publish(Noted(kind="after", text="", count=1), t_ns=2)
    assert first == last == [1, 2, 3, 4]
    assert (audit.number, audit.faults, audit.last_fault) == (4, 4, "ValueError: no")
