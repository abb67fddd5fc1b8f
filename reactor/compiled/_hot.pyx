# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, annotation_typing=False
"""The way of a price to an order, in machine code: what happens between the read callback and the write.

The same as `reactor.shell.lookout.Lookout`, `reactor.shell.shots.Shot`, `Sender.fire` and the short way of
`reactor.shell.transport.picows_skin`, rule for rule, and held to it by the same tests. Two things differ. A frame is not
decoded before it is looked at: `read_frame` understands the plain form that Binance writes and no other, and what it does
not understand fires nothing. And what the engine's objects hold is read at its place in memory (they are plain slots), so
that an order which lay ready touches a few lines of memory on its way out.

Everything that is no price's quiet way is left to Python: decoding, the engine, what follows from a decision.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Size
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp
from libc.time cimport time_t
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from time import get_clock_info
from types import MemberDescriptorType

from reactor.binance.market_messages import (
    AggTrade,
    BookTicker,
    MarkPrice,
    Trade,
    is_market_trade,
)
from reactor.binance.messages import FAULTS
from reactor.clock import SystemClock, parts_of
from reactor.core.lifecycle import State
from reactor.core.machine import Machine
from reactor.core.market import Market
from reactor.core.orders import Orders
from reactor.core.stop import Stop
from reactor.errors import DecodeError, InvariantError
from reactor.shell.gateway.aiming import Aim, Fired
from reactor.shell.lookout import (
    NEVER_NS as _NEVER_NS,
    PRACTISED_EVERY_NS as _PRACTISED_EVERY_NS,
    decode,
)
from reactor.shell.shots import DECIDED_WITHIN_NS as _DECIDED_WITHIN_NS, SHORT_CHARS_MAX, levels_of


cdef extern from "Python.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member
    PyObject* PyDict_GetItem(object, object)
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*) except NULL


cdef extern from "time.h" nogil:
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int, timespec*)


cdef long long NEVER_NS = _NEVER_NS
cdef long long PRACTISED_EVERY_NS = _PRACTISED_EVERY_NS
cdef long long DECIDED_WITHIN_NS = _DECIDED_WITHIN_NS
cdef bint IS_CLOCK_POSIX = get_clock_info("monotonic").implementation == "clock_gettime(CLOCK_MONOTONIC)"
cdef tuple NO_PRICE = (*FAULTS, DecodeError)
cdef Py_ssize_t PRICE_CHARS_MAX = SHORT_CHARS_MAX


# Places of the engine's values in memory ---------------------------------------------------------

cdef Py_ssize_t _offset_of(owner, str name) except -1:
    """Where instances hold a slot.

    Raises:
        ImportError: it is none: what was compiled does not belong to this source.
    """
    descriptor = getattr(owner, name, None)
    if type(descriptor) is not MemberDescriptorType:
        raise ImportError(f"{owner.__name__}.{name} is no plain slot")
    return (<PyMemberDescrObject*><PyObject*>descriptor).d_member.offset


cdef inline object _slot(object owner, Py_ssize_t offset):
    cdef PyObject* value = (<PyObject**>((<char*><PyObject*>owner) + offset))[0]
    if value == NULL:
        raise AttributeError("a slot that nothing was put into")
    return <object>value


cdef Py_ssize_t LAST_ID = _offset_of(Market, "last_id")
cdef Py_ssize_t ID_END = _offset_of(Market, "id_end")
cdef Py_ssize_t SINCE_MS = _offset_of(Market, "since_ms")
cdef Py_ssize_t UNTIL_MS = _offset_of(Market, "until_ms")
cdef Py_ssize_t T_EVENT_MS = _offset_of(Market, "t_event_ms")
cdef Py_ssize_t DUE_NS = _offset_of(Market, "due_ns")
cdef Py_ssize_t CALM_LOW = _offset_of(Market, "calm_low")
cdef Py_ssize_t CALM_HIGH = _offset_of(Market, "calm_high")
cdef Py_ssize_t SUSPECT = _offset_of(Market, "suspect")
cdef Py_ssize_t AWAITED = _offset_of(Market, "awaited")
cdef Py_ssize_t MACHINES = _offset_of(Market, "machines")
cdef Py_ssize_t LAST_TEXT = _offset_of(Market, "text")
cdef Py_ssize_t ORDERS = _offset_of(Machine, "orders")
cdef Py_ssize_t STOP = _offset_of(Machine, "stop")
cdef Py_ssize_t STOP_X = _offset_of(Stop, "x")
cdef Py_ssize_t STATE = _offset_of(Orders, "state")
cdef Py_ssize_t REST = _offset_of(Orders, "rest")
cdef Py_ssize_t PARTIAL = _offset_of(Orders, "partial")
cdef Py_ssize_t QUANTITY = _offset_of(Orders, "quantity")
cdef Py_ssize_t NUMBER = _offset_of(Orders, "number")
cdef Py_ssize_t AIM_QUANTITY = _offset_of(Aim, "quantity")
cdef Py_ssize_t AIM_NUMBER = _offset_of(Aim, "number")
cdef Py_ssize_t AIM_SYMBOL = _offset_of(Aim, "symbol")
cdef Py_ssize_t AIM_HEDGE = _offset_of(Aim, "hedge")
cdef Py_ssize_t AIM_FILTERS = _offset_of(Aim, "filters")
cdef Py_ssize_t AIM_IDENTITY = _offset_of(Aim, "identity")
cdef Py_ssize_t AIM_UNTIL_NS = _offset_of(Aim, "until_ns")
cdef Py_ssize_t AIM_FRAME = _offset_of(Aim, "frame")

cdef object WATCHING = State.WATCHING


# Reading a frame ------------------------------------------------------------------------------------

cdef enum Kind:
    UNREAD  # not of the plain form, or of no kind that is read here
    AGG_TRADE
    MARK_PRICE
    BOOK


cdef enum Form:
    ABSENT
    TEXT
    WHOLE
    OTHER


cdef struct Field:
    Form form
    const char* at
    Py_ssize_t size
    long long number


cdef struct Frame:
    Kind kind
    const char* symbol
    Py_ssize_t symbol_size
    double price
    long long id
    long long t_event_ms
    bint is_usdm


cdef double POWERS[16]
POWERS[0] = 1.0
cdef int _power
for _power in range(1, 16):
    POWERS[_power] = POWERS[_power - 1] * 10.0


cdef unsigned char[256] IS_PLAIN
cdef int _byte
for _byte in range(256):
    IS_PLAIN[_byte] = 0x20 <= _byte < 0x80 and _byte != c'"' and _byte != c'\\'


cdef bint _price(const char* at, Py_ssize_t size, double* price) noexcept nogil:
    """Reads a plain decimal of at most 15 digits: its double is one division of exact numbers, so the nearest one."""
    cdef long long digits = 0
    cdef int count = 0, places = -1
    cdef char c
    cdef Py_ssize_t i
    if size < 1 or size > PRICE_CHARS_MAX:
        return False
    if at[0] == c'0' and size > 1 and at[1] != c'.':
        return False  # no number of JSON
    for i in range(size):
        c = at[i]
        if c == c'.':
            if places >= 0 or i == 0 or i == size - 1:
                return False
            places = 0
            continue
        if c < c'0' or c > c'9':
            return False
        digits = digits * 10 + (c - c'0')
        count += 1
        if places >= 0:
            places += 1
    if count > 15:
        return False
    price[0] = <double>digits / POWERS[places if places > 0 else 0]
    return True


cdef const char* _text(const char* p, const char* end, Field* field, bint* is_ascii) noexcept nogil:
    """Reads a string without escapes; NULL where it is none."""
    cdef unsigned char c
    if p >= end or p[0] != c'"':
        return NULL
    p += 1
    field.form = TEXT
    field.at = p
    while p < end:
        c = <unsigned char>p[0]
        if IS_PLAIN[c]:  # one look instead of four: nearly every byte of a frame comes by here
            p += 1
        elif c == c'"':
            field.size = p - field.at
            return p + 1
        elif c >= 0x80:
            is_ascii[0] = False
            p += 1
        else:
            return NULL
    return NULL


cdef const char* _value(const char* p, const char* end, Field* field, bint* is_ascii) noexcept nogil:
    """Reads a string, a number or a word; NULL where it is anything else."""
    cdef const char* first
    cdef long long number = 0
    if p >= end:
        return NULL
    if p[0] == c'"':
        return _text(p, end, field, is_ascii)
    field.form = OTHER
    if p[0] == c't':
        return p + 4 if end - p > 4 and memcmp(p, b"true", 4) == 0 else NULL
    if p[0] == c'f':
        return p + 5 if end - p > 5 and memcmp(p, b"false", 5) == 0 else NULL
    if p[0] == c'n':
        return p + 4 if end - p > 4 and memcmp(p, b"null", 4) == 0 else NULL
    if p[0] == c'-':
        p += 1
    else:
        field.form = WHOLE
    first = p
    while p < end and c'0' <= p[0] <= c'9':
        if p - first < 18:
            number = number * 10 + (p[0] - c'0')
        p += 1
    if p == first or (first[0] == c'0' and p - first > 1):
        return NULL
    if p - first > 18:
        return NULL  # nothing of Binance's is so long, and it need not be read here
    field.number = number
    if p < end and p[0] == c'.':
        field.form = OTHER
        p += 1
        first = p
        while p < end and c'0' <= p[0] <= c'9':
            p += 1
        if p == first:
            return NULL
    return p


cdef bint _is(const Field* field, const char* word, Py_ssize_t size) noexcept nogil:
    return field.size == size and memcmp(field.at, word, size) == 0


cdef bint _is_whole_or_absent(const Field* field) noexcept nogil:
    return field.form == ABSENT or field.form == WHOLE


cdef enum:
    E_KIND  # e
    E_TIME  # E
    SYMBOL  # s
    PRICE  # p
    ID  # a
    TIME  # T
    SCOPE  # st
    BID  # b
    UPDATE  # u
    UNKNOWN
    FIELDS


cdef int _place(const Field* key) noexcept nogil:
    if key.size == 1:
        if key.at[0] == c'e': return E_KIND
        if key.at[0] == c'E': return E_TIME
        if key.at[0] == c's': return SYMBOL
        if key.at[0] == c'p': return PRICE
        if key.at[0] == c'a': return ID
        if key.at[0] == c'T': return TIME
        if key.at[0] == c'b': return BID
        if key.at[0] == c'u': return UPDATE
    elif key.size == 2 and key.at[0] == c's' and key.at[1] == c't':
        return SCOPE
    return UNKNOWN


cdef void read_frame(const char* p, Py_ssize_t size, Frame* frame) noexcept nogil:
    """Reads what a frame says, where it is of the form `{"stream":"…","data":{"e":"aggTrade", …}}`, without spaces,
    escapes, nested values or a field twice. For what is so read msgspec's decoder gives the same."""
    cdef const char* end = p + size
    cdef Field fields[FIELDS]
    cdef Field key
    cdef int place
    cdef bint is_ascii = True
    frame.kind = UNREAD
    for place in range(FIELDS):
        fields[place].form = ABSENT
    if size < 12 or memcmp(p, b'{"stream":', 10) != 0:
        return
    p = _text(p + 10, end, &key, &is_ascii)
    if p == NULL or end - p < 10 or memcmp(p, b',"data":{', 9) != 0:
        return
    p += 9
    while True:
        p = _text(p, end, &key, &is_ascii)
        if p == NULL or p >= end or p[0] != c':':
            return
        place = _place(&key)
        if place != UNKNOWN and fields[place].form != ABSENT:
            return
        p = _value(p + 1, end, &fields[place], &is_ascii)
        if p == NULL or p >= end:
            return
        if p[0] == c',':
            p += 1
            continue
        if p[0] == c'}' and end - p == 2 and p[1] == c'}':
            break
        return
    if not is_ascii:
        # Whether it is UTF-8 at all is not read here. A symbol that is written so takes the slower way.
        return
    if fields[E_KIND].form != TEXT or fields[SYMBOL].form != TEXT:
        return
    if not _is_whole_or_absent(&fields[SCOPE]) or not _is_whole_or_absent(&fields[E_TIME]):
        return
    frame.symbol = fields[SYMBOL].at
    frame.symbol_size = fields[SYMBOL].size
    frame.is_usdm = fields[SCOPE].form == ABSENT or fields[SCOPE].number == 1
    if _is(&fields[E_KIND], b"aggTrade", 8):
        if fields[ID].form != WHOLE or fields[TIME].form != WHOLE or fields[PRICE].form != TEXT:
            return
        if _price(fields[PRICE].at, fields[PRICE].size, &frame.price):
            frame.id = fields[ID].number
            frame.t_event_ms = fields[TIME].number
            frame.kind = AGG_TRADE
    elif _is(&fields[E_KIND], b"markPriceUpdate", 15):
        if fields[E_TIME].form != WHOLE or fields[PRICE].form != TEXT:
            return
        if _price(fields[PRICE].at, fields[PRICE].size, &frame.price):
            frame.id = frame.t_event_ms = fields[E_TIME].number
            frame.kind = MARK_PRICE
    elif _is(&fields[E_KIND], b"bookTicker", 10):
        if (
            fields[BID].form == TEXT
            and fields[ID].form == TEXT
            and fields[UPDATE].form == WHOLE
            and _is_whole_or_absent(&fields[TIME])
        ):
            frame.kind = BOOK


cdef bint _is_of_same(const Frame* one, const Frame* other) noexcept nogil:
    """Whether both are prices of one symbol and source. What is not read is of none."""
    return (
        one.kind == other.kind
        and one.kind != UNREAD
        and one.symbol_size == other.symbol_size
        and memcmp(one.symbol, other.symbol, one.symbol_size) == 0
    )


def read(bytes message not None):
    """What `read_frame` makes of a frame, for its tests: None where it does not understand it, else kind, symbol, price,
    id, exchange time in ms, and whether it is of USDⓈ-M."""
    cdef Frame frame
    read_frame(PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), &frame)
    if frame.kind == UNREAD:
        return None
    symbol = frame.symbol[: frame.symbol_size].decode()
    if frame.kind == BOOK:
        return ("book", symbol, None, None, None, bool(frame.is_usdm))
    kind = "last" if frame.kind == AGG_TRADE else "mark"
    return (kind, symbol, frame.price, frame.id, frame.t_event_ms, bool(frame.is_usdm))


cdef bint _is_enveloped(const char* text, Py_ssize_t size) noexcept nogil:
    return size > 9 and memcmp(text, b'{"stream"', 9) == 0


cdef Py_ssize_t _text_frame(const char** p, const char* end, Py_ssize_t size_max) noexcept nogil:
    """Steps over a whole, unmasked WebSocket frame (RFC 6455 §5.2) with a text of prices.

    Returns:
        The text's size; 0 where it is not all there yet; -1 where it is no such frame.
    """
    cdef const unsigned char* head = <const unsigned char*>p[0]
    cdef Py_ssize_t there = end - p[0], begin = 2, size
    if head[0] != 0x81:
        return -1
    if there < 2:
        return 0
    size = head[1]
    if size == 126:
        if there < 4:
            return 0
        size = head[2] << 8 | head[3]
        begin = 4
        if size < 126:
            return -1
    elif size > 126:
        return -1
    if size > size_max:
        return -1
    if there < begin + size:
        return 0
    if not _is_enveloped(p[0] + begin, size):
        return -1
    p[0] += begin + size
    return size


cdef class Clock:
    """A clock of `reactor.clock`, asked without a call of Python's where it is the system's."""

    cdef long long _offset_ns
    cdef object _ticking_ns
    cdef bint _is_systems

    def __init__(self, clock):
        self._offset_ns, self._ticking_ns = parts_of(clock)
        self._is_systems = IS_CLOCK_POSIX and type(clock) is SystemClock

    cdef long long now(self) except -1:
        cdef timespec at
        if not self._is_systems:
            return self._offset_ns + <long long>self._ticking_ns()
        clock_gettime(CLOCK_MONOTONIC, &at)
        return self._offset_ns + <long long>at.tv_sec * 1_000_000_000 + at.tv_nsec


# Orders that lie ready ------------------------------------------------------------------------------

cdef class Shot:
    """One position's stop, and the order that it would make; see `reactor.shell.shots.Shot`."""

    cdef object _machine, _market, _stop_x, _gunner
    cdef Trigger _trigger
    cdef double _level, _low, _high
    # Of the frames of its symbol that nothing is decided on yet, the newest id.
    cdef long long passed
    cdef readonly object aim
    cdef readonly str text
    cdef readonly bint is_long

    def __init__(self, machine, market, aim, gunner):
        if not (
            type(machine) is Machine
            and type(market) is Market
            and type(aim) is Aim
            and type(machine.orders) is Orders
            and type(machine.stop) is Stop
        ):
            raise TypeError("a shot is aimed from a machine of the engine's")
        self._machine = machine
        self._market = market
        self.aim = aim
        self._gunner = gunner
        trigger = getattr(gunner, "trigger", None)
        self._trigger = trigger if type(trigger) is Trigger else None
        self._stop_x = machine.stop.x
        self.is_long = machine.side == "LONG"
        self.text, self._level, self._low, self._high = levels_of(machine, market)
        self.passed = -1

    def is_of(self, machine):
        """Whether it is this machine's, and still holds."""
        return self._machine is machine and self._holds()

    @property
    def holds(self):
        """Whether it is still what the position's stop would make."""
        return bool(self._holds())

    cdef bint _holds(self) except -1:
        cdef object orders = _slot(self._machine, ORDERS)
        return (
            _slot(_slot(self._machine, STOP), STOP_X) is self._stop_x
            and _slot(orders, STATE) is WATCHING
            and _slot(orders, REST) is None
            and _slot(orders, PARTIAL) is None
            and _slot(orders, QUANTITY) is _slot(self.aim, AIM_QUANTITY)
            and <long long>_slot(orders, NUMBER) == <long long>_slot(self.aim, AIM_NUMBER)
        )

    cdef bint is_through(self, double price) noexcept:
        return price <= self._level if self.is_long else price >= self._level

    cdef bint _is_calm(self, double price, long long t_event_ms) except -1:
        cdef object market = self._market
        return (
            t_event_ms < <long long>_slot(market, UNTIL_MS)
            and <double>_slot(market, CALM_LOW) < price < <double>_slot(market, CALM_HIGH)
            and self._low < price < self._high
        )

    def is_calm(self, str price, long long t_event_ms):
        """Whether no rule acts on this price and no candle closes with it: what then stands stands behind it too."""
        cdef double value
        return _price_of(price, &value) and bool(self._is_calm(value, t_event_ms))

    cdef bint _fire(
        self, double price, long long tick_id, long long t_event_ms, long long now_ns, bint is_practice
    ) except -1:
        cdef object market = self._market
        cdef list machines = <list>_slot(market, MACHINES)
        cdef object due_ns = _slot(market, DUE_NS)
        cdef double last
        if (
            not <long long>_slot(market, LAST_ID) < tick_id < <long long>_slot(market, ID_END)
            or not <long long>_slot(market, SINCE_MS) <= t_event_ms < <long long>_slot(market, UNTIL_MS)
            or _slot(market, SUSPECT) is not None
            or len(<list>_slot(market, AWAITED))
            or len(machines) != 1
            or machines[0] is not self._machine
            or not self._holds()
            or (due_ns is not None and now_ns >= <long long>due_ns - DECIDED_WITHIN_NS)
            or not _price_of(_slot(market, LAST_TEXT), &last)
            or not self._low < price < self._high
            or not self._low < last < self._high
            or not self.is_through(price)
        ):
            return False
        if self._trigger is not None:
            return self._trigger.pull(self.aim, now_ns, is_practice)
        return self._gunner.fire(self.aim, now_ns, is_practice=is_practice)

    def fire(self, str price, long long tick_id, long long t_event_ms, long long now_ns, *, bint is_practice=False):
        """Sends the order if this tick surely makes the engine close everything for the stop."""
        cdef double value
        return _price_of(price, &value) and bool(self._fire(value, tick_id, t_event_ms, now_ns, is_practice))

    cdef int _practise(self, long long now_ns) except -1:
        cdef object market = self._market
        cdef bint fired = self._fire(
            self._level, <long long>_slot(market, LAST_ID) + 1, <long long>_slot(market, T_EVENT_MS), now_ns, True
        )
        assert not fired
        return 0

    def practise(self, long long now_ns):
        """Fires without sending, at the stop, so that the code that fires stays warm."""
        self._practise(now_ns)


cdef bint _price_of(object text, double* price) except -1:
    cdef Py_ssize_t size
    cdef const char* at = PyUnicode_AsUTF8AndSize(text, &size)
    return _price(at, size, price)


cdef class Trigger:
    """Sends what lies ready: `Gateway.fire` and `Sender.fire`, with nothing in between.

    Args:
        hedge: whether the account is in hedge mode, now.
        contracts: each symbol's rules as far as known.
        fired: what left, until its decision claims it.
        socket: the order socket.
        clock: ours.
    """

    cdef object _hedge, _contracts, _socket
    cdef Clock _clock
    cdef dict _fired

    def __init__(self, *, hedge, contracts, dict fired not None, socket, clock):
        self._hedge = hedge
        self._contracts = contracts
        self._fired = fired
        self._socket = socket
        self._clock = Clock(clock)

    def fire(self, aim, long long now_ns, *, bint is_practice=False):
        """Sends an order, or does everything but; answers whether it left."""
        if type(aim) is not Aim:
            raise TypeError("what is fired is an aim")
        return bool(self.pull(aim, now_ns, is_practice))

    cdef bint pull(self, object aim, long long now_ns, bint is_practice) except -1:
        cdef object live, socket, decided_ns, sent_ns
        cdef object frame = _slot(aim, AIM_FRAME)
        cdef FrameListener listener
        cdef WSTransport picows
        if (
            self._hedge() is not _slot(aim, AIM_HEDGE)
            or self._contracts.get(_slot(aim, AIM_SYMBOL)) is not _slot(aim, AIM_FILTERS)
            or _slot(aim, AIM_IDENTITY) in self._fired
            or now_ns >= <long long>_slot(aim, AIM_UNTIL_NS)
        ):
            return False
        live = self._socket.live
        if live is None:
            return False
        socket = live.socket
        if socket is None or live.over.done():
            return False
        decided_ns = self._clock.now()
        if isinstance(socket, FrameListener):
            listener = socket
            picows = listener._picows
            # Where picows has said a farewell of its own, it drops what is sent.
            if not listener._open or picows is None or picows.is_close_frame_sent or not frame or is_practice:
                return False
            picows.send(WSMsgType.TEXT, frame)
            sent_ns = self._clock.now()
            if not socket.is_within_bounds():
                return False
        else:
            if not socket.is_open:
                return False
            if is_practice:
                socket.prepare(frame)
                return False
            if not socket.send(frame):
                return False
            sent_ns = self._clock.now()
        self._fired[_slot(aim, AIM_IDENTITY)] = Fired(aim, decided_ns=decided_ns, sent_ns=sent_ns)
        live.asked(frame)
        return True


# Prices ---------------------------------------------------------------------------------------------

cdef class Lookout:
    """Takes prices; see `reactor.shell.lookout.Lookout`."""

    cdef public long long last_ns, timer_ns, engine_due_ns
    cdef public bint is_inside, is_stopping
    cdef readonly dict faulted, mark_seen_ns, mark_price
    cdef public object writer
    cdef object _pump, _engine, _host, _loop
    cdef Clock _clock
    cdef long long _practised_ns
    cdef bint _has_fired
    cdef dict _last, _mark
    cdef list _undecided
    # The shots whose symbols have frames that nothing is decided on yet.
    cdef list _touched

    def __init__(self, pump, host, *, clock, loop):
        self._pump = pump
        self._engine = pump.engine
        self._host = host
        self._loop = loop
        self._clock = Clock(clock)
        self.last_ns = 0
        self.timer_ns = self.engine_due_ns = self._practised_ns = NEVER_NS
        self.is_inside = self.is_stopping = self._has_fired = False
        self.faulted, self.mark_seen_ns, self.mark_price = {}, {}, {}
        self.writer = None
        self._last, self._mark = {}, {}
        self._undecided, self._touched = [], []

    @property
    def is_behind(self):
        """Whether frames wait to be decided on."""
        return len(self._undecided) > 0

    def arm(self, dict last not None, dict mark not None, *, bint practises):
        """Gives it orders that lie ready."""
        self._last, self._mark = last, mark
        if practises:
            self._practised_ns = 0

    def market(self, route, bytes message not None, bint more=False):
        """Takes a frame of a market or public socket, in its read callback."""
        self.take(route, message, more)

    cdef long long _now(self) except -1:
        self.last_ns = max(self.last_ns, self._clock.now())
        return self.last_ns

    cdef int take(self, object route, bytes message, bint more) except -1:
        """Takes a frame that nobody has looked at yet."""
        cdef Frame frame
        cdef long long t_ns
        cdef bint waits = more or len(self._undecided) > 0
        cdef Shot shot
        if self.is_stopping:
            return 0
        t_ns = self._now()
        read_frame(PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), &frame)
        shot = self._shot_of(&frame)
        if self._look(shot, &frame, t_ns, waits) or waits:
            self._queue(route, message, t_ns, more)
            return 0
        if len(self._touched):
            self._forget()
        self._decide(route, message, t_ns)
        if t_ns >= self._practised_ns:
            self._practised_ns = t_ns + PRACTISED_EVERY_NS
            if shot is not None and not self.is_behind:
                shot._practise(t_ns)
        return 0

    cdef int look_ahead(self, const char* at, Py_ssize_t size, Py_ssize_t behind, Py_ssize_t size_max) except -1:
        """Looks at a frame, and at those which the same read brought behind it: before any of them is handed on.

        It ends before anything that is no plain text of prices. picows reads one frame ahead and drops the one before a
        frame that breaks the protocol: so that one is left out, too, and is looked at when it comes.

        Args:
            at: the first frame's text.
            size: of it, bytes.
            behind: how many bytes of the same read follow it.
            size_max: of a frame that the socket takes.

        Returns:
            How many frames were looked at; 0 where not even one was.
        """
        cdef const char* p = at + size
        cdef const char* end = p + behind
        cdef Py_ssize_t length
        cdef int count = 1, number
        cdef long long t_ns
        cdef Frame frame, before
        cdef Shot shot = None
        before.kind, before.symbol, before.symbol_size = UNREAD, NULL, 0
        if self.is_stopping:
            return 0
        while p < end:
            length = _text_frame(&p, end, size_max)
            if length == -1:
                count -= 1
                break
            if length == 0:
                break  # the rest of it is still to come
            count += 1
        if count < 2:
            return 0
        t_ns = self._now()
        p = at
        for number in range(count):
            read_frame(p, size, &frame)
            if not _is_of_same(&frame, &before):  # most of a burst is of one symbol
                shot = self._shot_of(&frame)
                before = frame
            self._look(shot, &frame, t_ns, True)
            p += size
            if number < count - 1:
                size = _text_frame(&p, end, size_max)
                p -= size
        return count

    cdef int queue(self, object route, bytes message, bint more) except -1:
        """Takes a frame that was looked at ahead: it had been received then."""
        if not self.is_stopping:
            self._queue(route, message, self.last_ns, more)
        return 0

    cdef int _queue(self, object route, bytes message, long long t_ns, bint more) except -1:
        """Keeps a frame until everything that came with it has been looked at."""
        if not len(self._undecided):
            self._loop.call_soon(self._next_turn)
        self._undecided.append((route, message, t_ns))
        if not (more or self._has_fired):
            self.catch_up()
        return 0

    cdef Shot _shot_of(self, Frame* frame):
        cdef dict shots
        cdef PyObject* found
        if frame.kind == AGG_TRADE:
            shots = self._last
        elif frame.kind == MARK_PRICE:
            shots = self._mark
        else:
            return None
        if not PyDict_Size(shots):
            return None
        found = PyDict_GetItem(shots, PyUnicode_DecodeUTF8(<char*>frame.symbol, frame.symbol_size, NULL))
        return None if found == NULL else <Shot?><object>found

    cdef bint _look(self, Shot shot, Frame* frame, long long t_ns, bint waits) except -1:
        """Fires what lies ready for this price; answers whether an order left. `waits`: it is not decided on at once."""
        if shot is not None:
            if shot.is_through(frame.price):
                return self._fire(shot, frame, t_ns)
            if waits:
                self._pass(shot, frame)
        elif waits and frame.kind == UNREAD:
            # It may hold a price of any symbol, or of one whose aggregated trades come behind it.
            for shots in (self._last, self._mark):
                for each in (<dict>shots).values():
                    self._touch(each, NEVER_NS)
        return False

    cdef int _touch(self, Shot shot, long long passed) except -1:
        if shot.passed == -1:
            self._touched.append(shot)
        shot.passed = passed
        return 0

    cdef int _forget(self) except -1:
        for shot in self._touched:
            (<Shot>shot).passed = -1
        self._touched.clear()
        return 0

    cdef bint _fire(self, Shot shot, Frame* frame, long long t_ns) except -1:
        cdef bint has_left = False
        try:
            has_left = (
                frame.is_usdm
                and t_ns < self.timer_ns
                and t_ns < <long long>self._engine.steering_due_ns - DECIDED_WITHIN_NS
                and t_ns < <long long>self._pump.book_due_ns - DECIDED_WITHIN_NS
                and not self.is_inside
                and not PyDict_Size(self.faulted)
                and frame.id > shot.passed
                and shot._fire(frame.price, frame.id, frame.t_event_ms, t_ns, False)
            )
        except Exception as error:
            self._touch(shot, NEVER_NS)
            self._host.on_fault(error, t_ns)
        if not has_left:
            self._pass(shot, frame)
            return False
        self._touch(shot, NEVER_NS)
        self._has_fired = True
        return True

    cdef int _pass(self, Shot shot, Frame* frame) except -1:
        if frame.id > shot.passed:
            self._touch(shot, frame.id if shot._is_calm(frame.price, frame.t_event_ms) else NEVER_NS)
        return 0

    def _next_turn(self):
        """The turn that brought frames is over; see `reactor.shell.lookout.Lookout`."""
        if self._has_fired:
            self._loop.call_soon(self.catch_up)
        else:
            self.catch_up()

    def catch_up(self):
        """Decides on the frames that wait, in their order."""
        cdef bint has_fired
        cdef list waiting
        cdef long long t_ns
        if self.is_inside:
            return
        has_fired = self._has_fired
        while len(self._undecided):
            waiting, self._undecided = self._undecided, []
            self._forget()
            for route, message, received_ns in waiting:
                t_ns = max(<long long>received_ns, <long long>self._pump.now_ns)
                try:
                    self._decide(route, message, t_ns)
                except Exception as error:
                    self._host.on_fault(error, t_ns)
        self._forget()
        self._has_fired = False
        self._host.on_caught_up(has_fired=has_fired)

    cdef int _decide(self, object route, bytes message, long long t_ns) except -1:
        cdef object frame = None, kind, decisions = ()
        try:
            frame = decode(message).data
        except FAULTS:
            pass
        if frame is None or t_ns >= self.timer_ns or self.is_inside or PyDict_Size(self.faulted):
            self._host.take_slowly(route, message, t_ns)
            return 0
        kind = type(frame)
        try:
            if kind is AggTrade:
                if frame.st == 1:
                    decisions = self._engine.on_last(frame.s, frame.p, frame.a, frame.T, t_ns)
            elif kind is BookTicker:
                if frame.st == 1:
                    decisions = self._engine.on_book(frame.s, frame.b, frame.a, frame.u, frame.T, t_ns)
            elif kind is MarkPrice:
                if frame.st == 1:
                    decisions = self._engine.on_mark(frame.s, frame.p, frame.E, t_ns)
                    self.mark_seen_ns[frame.s] = t_ns
                    self.mark_price[frame.s] = frame.p
            elif kind is Trade:
                if frame.st == 1 and is_market_trade(frame):
                    decisions = self._engine.on_trade(frame.s, frame.p, frame.t, frame.T, t_ns)
        except NO_PRICE:
            self._host.take_slowly(route, message, t_ns)
            return 0
        except (InvariantError, AssertionError) as error:
            self._host.on_broken(error, route, message, t_ns, frame.s)
            return 0
        self._pump.now_ns = t_ns
        if decisions:
            self._host.on_decisions(decisions, getattr(frame, "E", 0), route, message)
            return 0
        if self.writer is not None:
            self.writer.write(t_ns, route, message)
        if self._engine.due_ns != self.engine_due_ns:
            self._host.rearm()
        return 0


cdef class FrameListener(WSListener):
    """The short way of a frame: a whole text, while nobody has said farewell; see `PicowsSocket`."""

    cdef public bint more, _heard, _open
    cdef public object _parts, _on_message
    cdef public WSTransport _picows
    cdef Lookout _lookout
    cdef object _connection, _route
    # How many of the frames that come now were looked at, when the first of their read came.
    cdef int _looked_ahead
    cdef Py_ssize_t _size_max

    def look_with(self, connection, route, give, Py_ssize_t size_max):
        """Has prices go straight to a lookout: where `give`, which takes them, is one's method.

        Args:
            connection: counts them: its `delivered`.
            route: of its socket.
            give: what takes a frame of this route.
            size_max: of a frame that the socket takes, bytes.
        """
        lookout = getattr(give, "__self__", None)
        if type(lookout) is Lookout:
            self._lookout = lookout
            self._connection = connection
            self._route = route
            self._size_max = size_max

    def look_no_more(self):
        """The handler hears nothing any more."""
        self._lookout = None

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef bytes message
        # Held here: whoever takes a price may have the socket muted by it.
        cdef Lookout lookout = self._lookout
        self._heard = True
        if (
            frame.msg_type == WSMsgType.TEXT
            and frame.fin
            and self._parts is None
            and not transport.is_close_frame_sent
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            self.more = not frame.last_in_buffer
            try:
                if lookout is None or not _is_enveloped(frame.payload_ptr, frame.payload_size):
                    self._on_message(frame.get_payload_as_bytes())
                    return
                message = frame.get_payload_as_bytes()
                self._connection.delivered += 1
                if not self._looked_ahead and self.more:
                    self._looked_ahead = lookout.look_ahead(
                        frame.payload_ptr, frame.payload_size, frame.tail_size, self._size_max
                    )
                if self._looked_ahead:
                    self._looked_ahead -= 1
                    lookout.queue(self._route, message, self.more)
                else:
                    lookout.take(self._route, message, self.more)
            except Exception as error:
                self._fault(error)
            return
        self.more = False
        self._take_other(transport, frame)
