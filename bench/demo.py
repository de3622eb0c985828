#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The program of `make demo`: messages with deadlines across an emulated link.

Runs inside the lab, with two workers and an aggregator below one switch that
marks packets with ECN, at 1 Gbit/s. One worker sends continuously and without
deadlines. The other sends messages with deadlines, using nothing but
setsockopt(), and prints the flow's D2TCP_INFO while each message is in flight.
"""

import os
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from network import DEFAULTS, Network  # noqa: E402

D2TCP_DEADLINE, D2TCP_INFO, RELATIVE = 0xD200, 0xD202, 1
INFO = struct.Struct("=12IQqQ4Q")  # struct d2tcp_info
PORT = 5000
POINT = DEFAULTS | {"topology": "star", "fan_in": 2}
# bytes, and milliseconds until the deadline
MESSAGES = ((1000000, 60), (1000000, 35), (1000000, 5))


def info(sock):
    """struct d2tcp_info of module/uapi/d2tcp.h, as a dict."""
    names = ("size", "abi_version", "flags", "alpha", "imminence", "penalty",
             "cwnd", "mss", "srtt_us", "budget_us", "outstanding", "merged",
             "bytes_left", "time_left_ns", "finish_ns", "met", "missed",
             "armed_late", "cleared")
    return dict(zip(names, INFO.unpack(sock.getsockopt(
        socket.SOL_IP, D2TCP_INFO, INFO.size))))


def d2tcp_socket(host):
    """A socket in the host's network namespace, which it never leaves."""
    with host:
        sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"d2tcp")
    return sock


def take_all(listener):
    sock, _ = listener.accept()
    while sock.recv(1 << 20):
        pass


def send_for_ever(sock):
    while True:
        sock.sendall(bytes(1 << 16))


def start(what, *args):
    threading.Thread(target=what, args=args, daemon=True).start()


def send(sock, length, deadline_ms):
    """Sends one message; prints the flow's state until it is acknowledged."""
    before = info(sock)
    print("\n%d bytes, due in %d ms:\n" % (length, deadline_ms))
    print("   time  alpha     d  window  bytes left  time left")
    sock.setsockopt(socket.SOL_IP, D2TCP_DEADLINE, struct.pack(
        "=QQII", deadline_ms * 1000000, length, RELATIVE, 0))
    begun = time.monotonic()
    start(sock.sendall, bytes(length))
    while True:
        now = info(sock)
        if not now["outstanding"]:
            break
        print("%4.0f ms  %5.2f  %4.2f  %6.1f  %10d  %6.1f ms" % (
            (time.monotonic() - begun) * 1000, now["alpha"] / 2**20,
            now["imminence"] / 256, now["cwnd"] / 256, now["bytes_left"],
            now["time_left_ns"] / 1e6))
        time.sleep(0.003)
    print("%4.0f ms  acknowledged: the deadline was %s" % (
        (time.monotonic() - begun) * 1000,
        "met" if now["met"] > before["met"] else "missed"))


def main():
    subprocess.run(["modprobe", "tcp_d2tcp"], check=True)
    net = Network(POINT)
    aggregator, (worker, neighbour) = net.aggregators[0], net.workers
    listeners = []
    for i in range(2):
        listener = d2tcp_socket(aggregator)
        listener.bind((aggregator.ip, PORT + i))
        listener.listen()
        listeners.append(listener)
        start(take_all, listener)
    other, sock = d2tcp_socket(neighbour), d2tcp_socket(worker)
    other.connect((aggregator.ip, PORT))
    sock.connect((aggregator.ip, PORT + 1))
    print("A neighbour sends without deadlines through the same switch port "
          "(1 Gbit/s).")
    start(send_for_ever, other)
    # let both flows settle on their shares first
    sock.sendall(bytes(4000000))
    while info(sock)["alpha"] > 2**19:
        sock.sendall(bytes(1000000))
    time.sleep(0.02)
    for length, deadline_ms in MESSAGES:
        send(sock, length, deadline_ms)
        time.sleep(0.02)
    print("\nd above 1: the deadline is near, and on marks the flow reduces "
          "its window less than DCTCP.\nd below 1: there is time to spare, and "
          "it reduces it more.", flush=True)
    # threads that still send end with the process
    os._exit(0)


if __name__ == "__main__":
    main()
