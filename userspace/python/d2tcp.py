# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deadlines for TCP sockets under the congestion control d2tcp.

The module only uses the standard library's socket options; libd2tcp is not needed. Times
are seconds, as elsewhere in Python, and a negative time left means that the deadline has
passed. Every function takes a socket.socket, or any object with getsockopt() and
setsockopt(), such as the one that asyncio's transport.get_extra_info("socket") returns.
Errors change nothing: an argument out of range raises ValueError, and an error of the kernel
OSError with a text that says what to do.

    listener = socket.create_server(("", 5000))
    d2tcp.enable(listener)                      # before connections arrive
    connection, _ = listener.accept()
    d2tcp.set_timeout(connection, 0.020, len(response))
    connection.sendall(response)

The options are described in d2tcp(7).
"""

from __future__ import annotations

import dataclasses
import errno
import socket
import struct
import typing

__all__ = ["Expectation", "Info", "Socket", "clear", "enable", "expect",
           "expect_standing", "get_expectation", "get_info", "set_budget",
           "set_deadline", "set_timeout"]

DEADLINE, BUDGET, INFO, EXPECT, EXPECT_INFO = range(0xD200, 0xD205)
RELATIVE, STANDING = 1, 2
INT_MAX = 2**31 - 1

_DEADLINE = struct.Struct("=QQII")  # struct d2tcp_deadline
_INFO = struct.Struct("=12IQqQ4Q")  # struct d2tcp_info
_EXPECT_INFO = struct.Struct("=4I3QqQ3QII")  # struct d2tcp_expect_info

_TEXTS = {
    errno.ENOENT: "the congestion control d2tcp is not available: load the module "
                  "tcp_d2tcp as root",
    errno.EPERM: "not permitted to select d2tcp: add it to "
                 "net.ipv4.tcp_allowed_congestion_control",
    errno.EOPNOTSUPP: "the socket is not under d2tcp: call enable() before connect() "
                      "or listen()",
    errno.ENOPROTOOPT: "the module tcp_d2tcp is not loaded (for expected answers: was "
                       "loaded without expect=1), or this is not a TCP socket",
    errno.ERANGE: "too long: a message must end less than 2^31 bytes beyond the "
                  "acknowledged data, an expected answer less than that beyond the "
                  "received data",
    errno.ENOMEM: "no memory, or as many sockets already expect answers as "
                  "net.ipv4.d2tcp.expect_max permits",
    errno.EINVAL: "invalid argument, such as a deadline on a listening socket",
}


class Socket(typing.Protocol):
    """The methods of a socket that the functions call."""

    def getsockopt(self, level: int, option: int, buflen: int = ..., /
                   ) -> typing.Any: ...

    def setsockopt(self, level: int, option: int, value: typing.Any, /) -> None: ...


def _explained(error: OSError) -> OSError:
    return OSError(error.errno, _TEXTS.get(error.errno, error.strerror))


def _set(sock: Socket, level: int, option: int, value: int | bytes) -> None:
    try:
        sock.setsockopt(level, option, value)
    except OSError as error:
        raise _explained(error) from None


def _get(sock: Socket, option: int, form: struct.Struct) -> tuple:
    try:
        found = sock.getsockopt(socket.SOL_IP, option, form.size)
    except OSError as error:
        raise _explained(error) from None
    # an older module returns less; fields that it does not know are 0
    return form.unpack(found.ljust(form.size, b"\0"))


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _length(size: int) -> int:
    if not 0 <= size < 2**64:
        raise ValueError("a length is from 0 to 2^64 - 1 bytes, not %r" % size)
    return size


def enable(sock: Socket) -> None:
    """Selects d2tcp. Call it before connect(), or on a listener before connections
    arrive: the handshake negotiates ECN, without which deadlines have no effect.
    """
    _set(sock, socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"d2tcp")


def set_deadline(sock: Socket, deadline: float, size: int = 0) -> None:
    """Sets the deadline of the message that starts with the next byte written, as a time
    of time.monotonic(). `size` is its length in bytes; 0: unknown, all data written until
    the next call. A time in the past is accepted: the deadline has passed.
    """
    ns, size = _ns(deadline), _length(size)
    if ns <= 0 and not size:
        raise ValueError("a deadline of 0 needs a size; clear() clears deadlines")
    _set(sock, socket.SOL_IP, DEADLINE, _DEADLINE.pack(max(ns, 0), size, 0, 0))


def set_timeout(sock: Socket, timeout: float, size: int = 0) -> None:
    """The same with a time relative to now; 0 or less: the deadline has passed."""
    _set(sock, socket.SOL_IP, DEADLINE,
         _DEADLINE.pack(min(max(_ns(timeout), 0), 2**63 - 1), _length(size),
                        RELATIVE, 0))


def clear(sock: Socket) -> None:
    """Clears every deadline of the socket."""
    _set(sock, socket.SOL_IP, DEADLINE, _DEADLINE.pack(0, 0, 0, 0))


def set_budget(sock: Socket, budget: float) -> None:
    """Sets a standing budget: each burst that starts on the idle socket is due this long
    after its start. 0 turns it off. Sockets accepted from a listener inherit it.
    """
    us = round(budget * 1e6)
    if not 0 <= us <= INT_MAX or (budget > 0 and us == 0):
        raise ValueError("a budget is 0, or from 1e-6 to 2147 seconds, not %r" % budget)
    _set(sock, socket.SOL_IP, BUDGET, us)


def expect(sock: Socket, timeout: float, size: int = 0) -> None:
    """Declares that the answer to the next request is due within `timeout`. Call it before
    the request is written. `size` is the answer's length; 0: unknown. Works with any
    congestion control, if the module was loaded with expect=1.
    """
    _set(sock, socket.SOL_IP, EXPECT,
         _DEADLINE.pack(min(max(_ns(timeout), 0), 2**63 - 1), _length(size),
                        RELATIVE, 0))


def expect_standing(sock: Socket, timeout: float, size: int = 0) -> None:
    """Declares that the answer to every further request is due within `timeout` of it. If
    both are 0, all expectations are cleared.
    """
    if timeout < 0:
        raise ValueError("a standing timeout is 0 or more, not %r" % timeout)
    if timeout or size:
        value = _DEADLINE.pack(min(_ns(timeout), 2**63 - 1), _length(size),
                               RELATIVE | STANDING, 0)
    else:
        value = _DEADLINE.pack(0, 0, 0, 0)
    _set(sock, socket.SOL_IP, EXPECT, value)


@dataclasses.dataclass(frozen=True)
class Info:
    """The state of a flow; times are in seconds."""

    ecn: bool  # deadlines have an effect
    fallback: bool  # connected without ECN: they have none
    late: bool  # the deadline of the most urgent message has passed
    feasible: bool  # the message can meet it at the present rate
    alpha: float  # share of packets that were marked
    imminence: float  # d
    penalty: float  # p = alpha^d
    cwnd: float  # packets
    srtt: float
    budget: float  # 0: none
    outstanding: int  # messages
    bytes_left: int  # of the most urgent prefix
    time_left: float  # negative: since the deadline
    met: int
    missed: int


def get_info(sock: Socket) -> Info:
    """Returns the state of the flow."""
    (_, _, flags, alpha, imminence, penalty, cwnd, _, srtt, budget, outstanding, _,
     bytes_left, time_left, _, met, missed, _, _) = _get(sock, INFO, _INFO)
    return Info(bool(flags & 1), bool(flags & 2), bool(flags & 8), bool(flags & 32),
                alpha / 2**20, imminence / 2**8, penalty / 2**20, cwnd / 2**8,
                srtt * 1e-6, budget * 1e-6, outstanding, bytes_left,
                time_left * 1e-9, met, missed)


@dataclasses.dataclass(frozen=True)
class Expectation:
    """The next expected answer; times are in seconds."""

    outstanding: int  # answers
    held: bool  # some bytes of it are not granted yet
    granted_all: bool
    released: bool  # the window is TCP's own
    feasible: bool  # it can meet its deadline at the measured rate
    size: int  # 0: unknown
    arrived: int  # bytes
    granted: int  # bytes that have arrived or may be sent
    time_left: float  # negative: since the deadline
    standing: float  # 0: none
    met: int
    missed: int


def get_expectation(sock: Socket) -> Expectation:
    """Returns the state of the next expected answer."""
    (_, _, flags, outstanding, size, arrived, granted, time_left, standing, met, missed,
     _, _, _) = _get(sock, EXPECT_INFO, _EXPECT_INFO)
    return Expectation(outstanding, bool(flags & 2), bool(flags & 4), bool(flags & 8),
                       bool(flags & 32), size, arrived, granted, time_left * 1e-9,
                       standing * 1e-9, met, missed)
