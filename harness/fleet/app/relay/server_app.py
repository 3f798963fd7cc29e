"""Carry frames between the server's socket and Flower's grid.

Flower's own waiting looks for answers every 3 s and gives a dead node a minute; this loop looks
five times a second, and whoever asked has a deadline of its own.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from harness.fleet.wire import (
    MOST_BODY_BYTES,
    Frame,
    WireError,
    connect,
    receive_frame,
    send_frame,
)
from relay.records import from_records, to_records

POLL_S = 0.2
NODES_S = 1.0

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Serve until the server closes its socket."""
    link = connect(str(context.run_config["socket"]), None)
    threading.Thread(target=_end_with, args=(link,), daemon=True).start()
    with link:
        _Relay(grid, link).work()


def _end_with(link: socket.socket) -> None:
    """End this program when the run is gone, even while Flower tries to reach its server."""
    watch = select.poll()
    watch.register(link, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    watch.poll()
    os._exit(0)


class _Relay:
    """Keep which of Flower's messages answers which ticket."""

    def __init__(self, grid: Grid, link: socket.socket) -> None:
        self._grid = grid
        self._link = link
        self._tickets: dict[str, tuple[int, int, float]] = {}
        self._nodes: list[int] | None = None
        self._looked_s = 0.0

    def work(self) -> None:
        """Carry until the other side is gone."""
        self._tell({"kind": "relay"})
        while True:
            ready, _, _ = select.select([self._link], [], [], POLL_S)
            try:
                while ready:
                    self._push(receive_frame(self._link))
                    ready, _, _ = select.select([self._link], [], [], 0)
                self._pull()
                self._look()
            except ConnectionError:
                return

    def _push(self, frame: Frame) -> None:
        """Send what the server wants sent; the wrapping tells to whom."""
        told = frame.header["to"]
        ticket, node, keep_s = int(told["ticket"]), int(told["node"]), float(told["keep_s"])
        inner = Frame(frame.header["header"], frame.body)
        message = Message(
            to_records(inner), dst_node_id=node, message_type="train.frame", ttl=keep_s
        )
        found: Any = None
        try:
            found = next(iter(self._grid.push_messages([message])), None)
        except (ValueError, RuntimeError, OSError) as error:
            self._fail(ticket, node, f"Flower did not take the message: {error}")
            return
        if not found:
            self._fail(ticket, node, "Flower did not take the message")
            return
        self._tickets[found] = (ticket, node, time.monotonic() + keep_s)

    def _pull(self) -> None:
        if not self._tickets:
            return
        for reply in _replies(self._grid, list(self._tickets)):
            # what the SuperLink answers for a lost node names itself as the source, so the node is
            # looked up by the message that is answered
            ticket, node, _ = self._tickets.pop(reply.metadata.reply_to_message_id)
            if reply.has_error():
                self._fail(ticket, node, f"Flower, code {reply.error.code}: {reply.error.reason}")
                continue
            try:
                frame = from_records(reply.content, MOST_BODY_BYTES)
            except WireError as error:
                self._fail(ticket, node, str(error))
                continue
            told = {"ticket": ticket, "node": node}
            send_frame(self._link, Frame(
                {"kind": "answer", "from": told, "header": dict(frame.header)}, frame.body
            ))  # fmt: skip
        now_s = time.monotonic()
        for message, (ticket, node, end_s) in list(self._tickets.items()):
            if now_s > end_s:
                del self._tickets[message]
                self._fail(ticket, node, "no answer as long as it was kept")

    def _look(self) -> None:
        """Tell who is there, when that has changed."""
        if time.monotonic() < self._looked_s + NODES_S:
            return
        self._looked_s = time.monotonic()
        nodes = sorted(self._grid.get_node_ids())
        if nodes != self._nodes:
            self._nodes = nodes
            self._tell({"kind": "nodes", "nodes": nodes})

    def _fail(self, ticket: int, node: int, why: str) -> None:
        self._tell({"kind": "lost", "from": {"ticket": ticket, "node": node}, "why": why[:500]})

    def _tell(self, header: dict[str, Any]) -> None:
        send_frame(self._link, Frame(header))


def _replies(grid: Grid, identifiers: list[str]) -> Iterable[Message]:
    """Return the replies that are there, a few at a time, so that few are ever held."""
    for start in range(0, len(identifiers), 8):
        yield from grid.pull_messages(identifiers[start : start + 8])
