"""Every error that Exit Reactor raises on purpose, as one tree.

ReactorError
├── BadInputError          what a user gave cannot be used; the message names it and the mend
│   ├── PlanError          a plan file: unknown key, value out of range, contradiction
│   ├── PolicyError        an exit policy: a regime or volatility without a mode, an unknown key
│   ├── ConfigError        a configuration file or an option
│   ├── TapeError          a file that is not a tape, or cannot be read at all
│   ├── RecordingError     a file of another program that cannot be made into a tape
│   └── CandleFileError    a candle file: missing column, bad row
├── TapeLineDamaged        one line of a tape cannot be read; reported and skipped, never fatal
├── ExchangeError          the exchange sent what it should not
│   └── DecodeError        one frame or body that cannot be read; counted, never fatal
├── Unreachable            the exchange cannot be reached now; retried, counted, shown
│   ├── ConnectFailed      a socket could not be opened
│   ├── RestFailed         a REST request got no answer that can be used: its outcome is unknown
│   │   └── RestNotSent    no connection came about: it did not leave, and was not executed
│   └── BudgetExhausted    our own budget holds a request back: it did not leave
├── JournalError           the journal cannot be opened, trusted or written
├── WorkerLost             a process of a sweep died or failed; the command says so and exits with 2
├── RequestRefused         the simulated exchange says no: an answer with a code, not a failure
└── InvariantError         a rule that money depends on would have been broken: our bug

Whoever raises builds the whole message; the command line prints it as one line and exits with 2
(`BadInputError`). A traceback that reaches a user is a bug.
"""


class ReactorError(Exception):
    """The base of every error below."""


class BadInputError(ReactorError):
    """Something a user gave cannot be used. The message is one line and says how to mend it."""


class PlanError(BadInputError):
    """A plan that is refused. The message names the file, the key and the allowed range."""


class PolicyError(BadInputError):
    """An exit policy that is refused. The message names the file and the key."""


class ConfigError(BadInputError):
    """A configuration file or an option that is refused."""


class TapeError(BadInputError):
    """A file that is no tape, or that cannot be read at all. Damage inside a tape is not this."""


class RecordingError(BadInputError):
    """A recording of another program that is not what it should be, or holds nothing to import."""


class CandleFileError(BadInputError):
    """A candle file with a missing column or a bad row."""


class TapeLineDamaged(ReactorError):  # noqa: N818 - the field's word; it never reaches a user
    """One line inside a tape that cannot be read. Reported with its number and skipped."""


class ExchangeError(ReactorError):
    """The exchange sent what its documentation says it does not send."""


class DecodeError(ExchangeError):
    """One frame or body that cannot be read. Counted and reported; nothing after it is lost."""


class Unreachable(ReactorError):  # noqa: N818 - a state, not a mistake
    """The exchange cannot be reached now."""


class ConnectFailed(Unreachable):
    """A socket could not be opened. The message names the host and the cause, no credentials."""


class RestFailed(Unreachable):
    """A REST request got no usable answer: whether it was executed is unknown."""


class RestNotSent(RestFailed):
    """No connection came about: nothing of the request left this machine."""


class BudgetExhausted(Unreachable):
    """Our own share of the exchange's limits is used up, or it has banned us. The request did not leave."""


class JournalError(ReactorError):
    """The journal cannot be opened, trusted or written."""


class WorkerLost(ReactorError):  # noqa: N818 - what happened, not whose mistake it was
    """A process that took part in the work died or failed: what it would have answered is not known."""


class RequestRefused(ReactorError):  # noqa: N818 -- an answer, not a failure
    """The simulated exchange refuses a request, with Binance's code (`reactor.sim.refusals`)."""


class InvariantError(ReactorError):
    """A rule that money depends on would have been broken. Never expected, never swallowed."""
