# SPDX-License-Identifier: Apache-2.0
"""A TCP and Unix-socket proxy that misbehaves on demand: the network between two parts of a fleet.

Each link forwards to one address and is in one mode at a time. A mode never damages what it passes on, since TCP does not
either: a connection whose bytes were swallowed is reset when the mode ends."""

import asyncio
import contextlib
import random
import socket
import struct
import threading

MODES = ("delay", "drop", "reset", "half-open", "byte-by-byte")
CHUNK = 65536


def reset_at_close(writer):
    """Its close becomes a RST."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Pair:
    """One connection that came and the one made for it."""

    def __init__(self, near, far):
        self.near, self.far, self.swallowed = near, far, False


class Link:
    """`listen` and `to` are paths of Unix sockets or (host, port)."""

    def __init__(self, listen, to, rng):
        self.listen, self.to, self.rng = listen, to, rng
        self.mode, self.pairs, self.silent = "pass", set(), []

    async def start(self):
        if isinstance(self.listen, tuple):
            await asyncio.start_server(self.take, *self.listen)
        else:
            await asyncio.start_unix_server(self.take, self.listen)

    async def take(self, reader, near):
        if self.mode == "reset":
            reset_at_close(near)
            return
        try:
            opening = asyncio.open_connection(*self.to) if isinstance(self.to, tuple) else asyncio.open_unix_connection(self.to)
            far_reader, far = await opening
        except OSError:
            reset_at_close(near)
            return
        pair = Pair(near, far)
        self.pairs.add(pair)
        await asyncio.wait([asyncio.ensure_future(self.pump(pair, reader, far)), asyncio.ensure_future(self.pump(pair, far_reader, near))])
        self.pairs.discard(pair)

    async def pump(self, pair, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while chunk := await reader.read(CHUNK):
                if self.mode == "delay":
                    await asyncio.sleep(self.rng.uniform(0.02, 0.5))
                if self.mode == "drop" or pair.swallowed:
                    pair.swallowed = True
                elif self.mode == "byte-by-byte":
                    for i in range(len(chunk)):
                        writer.write(chunk[i:i + 1])
                        await asyncio.sleep(0)
                else:
                    writer.write(chunk)
                    await writer.drain()
        if pair not in self.silent:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    def enter(self, mode):
        """Called in the loop. Leaving a mode resets what it has swallowed."""
        self.mode = mode
        for pair in list(self.pairs):
            if mode == "reset" or pair.swallowed and mode == "pass":
                reset_at_close(pair.near)
                reset_at_close(pair.far)
            elif mode == "half-open" and pair not in self.silent:
                # One side is gone, and the other is not told, not even later: it has to find out itself.
                self.silent.append(pair)
                pair.swallowed = False
                reset_at_close(self.rng.choice((pair.near, pair.far)))


class Proxy:
    """Links by name, on an event loop of their own."""

    def __init__(self, seed, **links):
        self.loop = asyncio.new_event_loop()
        rng = random.Random(seed)
        self.links = {name: Link(listen, to, rng) for name, (listen, to) in links.items()}
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        for link in self.links.values():
            asyncio.run_coroutine_threadsafe(link.start(), self.loop).result(10)

    def enter(self, name, mode):
        done = threading.Event()

        def enter():
            self.links[name].enter(mode)
            done.set()

        self.loop.call_soon_threadsafe(enter)
        assert done.wait(20), "the proxy stands still"

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
