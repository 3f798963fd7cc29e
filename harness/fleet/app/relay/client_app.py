"""Hand a message to this device's worker and its answer back; Flower starts this for each one."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from harness.fleet.wire import MOST_BODY_BYTES, Frame, connect, receive_frame, send_frame
from relay.records import from_records, to_records

ANSWER_S = 4 * 3600.0
"""Longest time that a worker is waited for; the server closes the round long before."""

app = ClientApp()
_links: list[socket.socket] = []
"""The connection stays open until this program ends: the worker counts that as communication."""


@app.train("frame")
def carry(message: Message, context: Context) -> Message:
    """Return what the worker answers."""
    frame = from_records(message.content, MOST_BODY_BYTES)
    link = connect(str(context.node_config["worker"]), ANSWER_S)
    _links.append(link)
    send_frame(link, Frame({**frame.header, "relay_began_s": _began_s()}, frame.body))
    return Message(to_records(receive_frame(link)), reply_to=message)


def _began_s() -> float:
    """Return when this process began, on the monotonic clock; proc(5), field 22 of stat."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started_s = float(fields[19]) / os.sysconf("SC_CLK_TCK")
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
    return time.monotonic() - age_s
