"""Answer as many nodes without training: python -m tests.benchmarks.light_nodes FOLDER COUNT.

Each node has a socket of its own and speaks the fleet's protocol; its update is the model it was
sent. So what is measured on the other side is the server's own work.
"""

from __future__ import annotations

import os
import selectors
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from socket import socket

from harness.fleet.wire import Frame, listen_privately, receive_frame, send_frame


def answer(name: str, client: int, data: str, request: Frame) -> Frame:
    """Return what node number `client` says."""
    about = {
        "device": name, "session": f"light{client}",
        "began_wall_s": time.time(), "wall_s": time.time(),
        "monotonic_s": time.monotonic(), "entries": [], "no_meter": "none",
        "peak_memory_bytes": None, "temperature_c": None,
    }  # fmt: skip
    if request.kind == "hello":
        card = {
            "partition": [client], "profile": "x86", "title": "light", "matches": True,
            "host": "light", "threads": 1, "profile_threads": 1, "profile_batch": 1,
            "meter_reason": "none", "machine": name,
        }  # fmt: skip
        return Frame({"kind": "card", **card, **about})
    if request.kind == "prepare":
        return Frame({"kind": "prepared", "data": data, "images": {}, **about})
    if request.kind == "train":
        losses = dict.fromkeys(request.header["request"]["units"], 1.0)
        told = {"client": client, "losses": losses, "measured": None}
        return Frame({"kind": "update", **told, **about}, request.body)
    return Frame({"kind": "reported", **about})


def main(words: Sequence[str]) -> None:
    """Serve until the parent is gone."""
    folder, count, data = Path(words[0]), int(words[1]), words[2]
    parent = os.getppid()
    selector = selectors.DefaultSelector()
    for client in range(count):
        selector.register(listen_privately(folder / f"{client}.sock"), selectors.EVENT_READ, client)
    print("ready", flush=True)
    while os.getppid() == parent:
        for key, _ in selector.select(1.0):
            listener = key.fileobj
            assert isinstance(listener, socket)
            link, _address = listener.accept()
            with link:
                request = receive_frame(link)
                send_frame(link, answer(f"light-{key.data}", key.data, data, request))


if __name__ == "__main__":
    main(sys.argv[1:])
