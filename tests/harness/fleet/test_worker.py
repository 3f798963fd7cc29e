"""A worker whose GPU has failed says so and ends: only a new process can use the GPU again."""

import threading
import time
from types import SimpleNamespace

import pytest

from harness.fleet.outbox import Outbox
from harness.fleet.wire import Frame, connect, listen_privately, receive_frame, send_frame
from harness.fleet.worker import _answer_all
from tests.waiting import LIMIT_S


@pytest.mark.parametrize("fails_at", [1, 3])
def test_it_answers_first_and_then_ends(tmp_path, fails_at) -> None:
    class Device:
        spoiled = False
        answered = 0

        def answer(self, _request) -> Frame:
            self.answered += 1
            self.spoiled = self.answered == fails_at
            return Frame({"kind": "failed" if self.spoiled else "update"})

    device, path = Device(), tmp_path / "worker.sock"
    options = SimpleNamespace(parent=0, most_megabytes=1)
    with listen_privately(path) as listener:
        arguments = (listener, device, Outbox(time.monotonic()), options)
        worker = threading.Thread(target=_answer_all, args=arguments, daemon=True)
        worker.start()
        told = []
        for _ in range(fails_at):
            with connect(str(path), LIMIT_S) as link:
                send_frame(link, Frame({"kind": "train"}))
                told.append(receive_frame(link).kind)
        worker.join(LIMIT_S)
    assert not worker.is_alive()
    assert told == [*["update"] * (fails_at - 1), "failed"]
