"""Speak with the relay that runs inside Flower."""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from harness.core.errors import FleetError
from harness.fleet.transport import Arrival
from harness.fleet.wire import Frame, WireError, listen_privately, receive_frame, send_frame


class RelayLink:
    """Wait for the relay on a private socket; implements `harness.fleet.transport.Transport`.

    `alive` is asked while waiting and raises if what is between here and the devices has ended.
    """

    def __init__(self, path: Path, alive: Callable[[], None]) -> None:
        self.path = path
        self._alive = alive
        self._listener = listen_privately(path)
        self._link: socket.socket | None = None
        self._tickets = itertools.count(1)
        self._asked: dict[int, int] = {}
        self._nodes: frozenset[int] = frozenset()
        self._arrivals: queue.Queue[Arrival] = queue.Queue()
        self._outgoing: queue.Queue[tuple[int, Frame] | None] = queue.Queue()

    def meet(self, timeout_s: float) -> None:
        """Wait for the relay; what an earlier one was asked has no answer any more.

        Raises:
            FleetError: if it does not come.
        """
        self._listener.settimeout(1.0)
        for _ in range(max(1, round(timeout_s))):
            self._alive()
            with contextlib.suppress(TimeoutError):
                link, _address = self._listener.accept()
                self._take_up(link)
                return
        raise FleetError(f"Flower did not start the relay within {timeout_s:g} s")

    def _take_up(self, link: socket.socket) -> None:
        """Speak with this relay from now on.

        Sending has a thread of its own: a relay that waits for Flower does not read, and the run
        must go on looking at its deadlines.
        """
        self.drop()
        link.settimeout(None)
        self._link, self._outgoing = link, queue.Queue()
        threading.Thread(target=self._read, args=(link,), daemon=True).start()
        threading.Thread(target=self._write, args=(link, self._outgoing), daemon=True).start()

    def drop(self) -> None:
        """Let the relay go; what it was asked has no answer."""
        link, self._link = self._link, None
        self._nodes = frozenset()
        if link is not None:
            self._outgoing.put(None)
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        for ticket in list(self._asked):
            self._fail(ticket, "Flower's server is gone")

    def nodes(self) -> frozenset[int]:
        """Return the nodes that Flower lists."""
        return self._nodes

    def send(self, node: int, frame: Frame, keep_s: float) -> int:
        """Hand a frame to the relay."""
        ticket = next(self._tickets)
        self._asked[ticket] = node
        told = {"ticket": ticket, "node": node, "keep_s": keep_s}
        wrapped = Frame({"kind": "send", "to": told, "header": dict(frame.header)}, frame.body)
        if self._link is None:
            self._fail(ticket, "there is no relay")
        else:
            self._outgoing.put((ticket, wrapped))
        return ticket

    def _write(self, link: socket.socket, outgoing: queue.Queue[tuple[int, Frame] | None]) -> None:
        while (found := outgoing.get()) is not None:
            ticket, frame = found
            try:
                send_frame(link, frame)
            except OSError as error:
                self._fail(ticket, f"the relay is gone: {error}")

    def arrivals(self, wait_s: float) -> list[Arrival]:
        """Return what has come."""
        self._alive()
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._arrivals.get(timeout=wait_s))
            while True:
                found.append(self._arrivals.get_nowait())
        return found

    def close(self) -> None:
        """Let the relay end."""
        self.drop()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _read(self, link: socket.socket) -> None:
        try:
            while True:
                self._take(receive_frame(link))
        except (
            OSError,
            WireError,
            KeyError,
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:
            if link is self._link:
                self._nodes = frozenset()
                for ticket in list(self._asked):
                    self._fail(ticket, f"the relay is gone: {error}")

    def _take(self, frame: Frame) -> None:
        if frame.kind == "nodes":
            self._nodes = frozenset(int(node) for node in frame.header["nodes"])
        elif frame.kind == "answer":
            told = frame.header["from"]
            self._asked.pop(int(told["ticket"]), None)
            inner = Frame(frame.header["header"], frame.body)
            self._arrivals.put(Arrival(int(told["ticket"]), int(told["node"]), inner))
        elif frame.kind == "lost":
            self._fail(int(frame.header["from"]["ticket"]), str(frame.header["why"]))

    def _fail(self, ticket: int, why: str) -> None:
        node = self._asked.pop(ticket, None)
        if node is None:
            return
        self._arrivals.put(Arrival(ticket, node, None, why))
