#!/usr/bin/python3
# SPDX-License-Identifier: 0BSD
"""A fan-out client with asyncio: sends a request to every worker, and uses the answers
that arrive by the deadline. The kernel lets the answers in by their deadlines
(D2TCP_EXPECT), if the module was loaded with expect=1; without it the client works too.

    fanout.py serve PORT                      a worker: answers "N\\n" with N bytes
    fanout.py ask MS BYTES HOST:PORT...       a query to all workers, due within MS

Needs the Python module d2tcp (package python3-d2tcp) and nothing else.
"""

import asyncio
import socket
import sys

import d2tcp


async def serve(port):
    async def answer(reader, writer):
        while line := await reader.readline():
            writer.write(bytes(int(line)))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, port=port)
    async with server:
        await server.serve_forever()


def expecting_socket(family):
    """A socket that advertises no window until its first request: its expectation is set
    before it connects. So the first answers are let in by deadline too.
    """
    sock = socket.socket(family)
    sock.setblocking(False)
    try:
        d2tcp.expect_standing(sock, 1)
    except OSError as error:
        print("no expectations: %s" % error, file=sys.stderr)
    return sock


async def connect(place):
    host, _, port = place.rpartition(":")
    loop = asyncio.get_running_loop()
    family, _, _, _, address = (await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM))[0]
    sock = expecting_socket(family)
    await loop.sock_connect(sock, address)
    return await asyncio.open_connection(sock=sock)


async def ask(connection, size, timeout):
    """One request: declares the answer's length and deadline, and reads it."""
    reader, writer = connection
    try:
        d2tcp.expect(writer.get_extra_info("socket"), timeout, size)
    except OSError:
        pass  # said when the socket was created
    writer.write(b"%d\n" % size)
    return len(await reader.readexactly(size))


async def query(places, size, timeout):
    connections = await asyncio.gather(*map(connect, places))
    requests = [asyncio.create_task(ask(c, size, timeout)) for c in connections]
    done, late = await asyncio.wait(requests, timeout=timeout)
    for task in late:
        task.cancel()
    print("%d of %d answers by the deadline" % (len(done), len(requests)))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    elif len(sys.argv) > 4 and sys.argv[1] == "ask":
        asyncio.run(query(sys.argv[4:], int(sys.argv[3]), float(sys.argv[2]) / 1000))
    else:
        sys.exit(__doc__)
