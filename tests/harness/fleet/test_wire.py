"""Frames survive the wire to the last bit; anything else is refused before it is read."""

import json
import math
import socket
import stat
import struct
import threading

import numpy as np
import pytest
import torch

from harness.core.errors import RefusedError
from harness.federated.trainers import RoundRequest, Update
from harness.fleet.codec import (
    decode_request,
    decode_result,
    decode_tensors,
    encode_request,
    encode_result,
    encode_tensors,
)
from harness.fleet.wire import (
    MOST_HEADER_BYTES,
    PROTOCOL,
    Frame,
    WireError,
    connect,
    listen_privately,
    receive_frame,
    send_frame,
)
from harness.workloads.multitask.affinity.matrix import ClientAffinity
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.protocol import PROTOCOLS
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings
from harness.workloads.multitask.wire import MultitaskWire
from tests.local_rules import LOCAL_RULES


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    for end in (one, other):
        end.settimeout(10)
    yield one, other
    one.close()
    other.close()


def test_a_frame_arrives_as_it_was_sent(ends) -> None:
    body = bytes(range(256)) * 5000
    sender = threading.Thread(target=send_frame, args=(ends[0], Frame({"x": 0.1}, body)))
    sender.start()
    found = receive_frame(ends[1])
    sender.join()
    assert found.header == {"protocol": PROTOCOL, "x": 0.1}
    assert found.body == body


@pytest.mark.parametrize(
    ("magic", "header", "body_length", "words"),
    [
        (b"HTTP", b"{}", 0, "something else"),
        (b"MASF", b"no json", 0, "no JSON"),
        (b"MASF", b"[1]", 0, "no JSON object"),
        (b"MASF", json.dumps({"protocol": PROTOCOL + 1}).encode(), 0, f"protocol {PROTOCOL + 1}"),
        (b"MASF", b"{}", 0, "protocol None"),
        (b"MASF", b"{}", 1 << 40, "too large"),
    ],
)
def test_what_is_no_frame_of_this_protocol_is_refused(
    ends, magic, header, body_length, words
) -> None:
    """A body that claims to be a terabyte is refused by its length, without reading it."""
    ends[0].sendall(struct.pack("<4sIQ", magic, len(header), body_length) + header)
    with pytest.raises(WireError, match=words):
        receive_frame(ends[1])


def test_a_header_that_is_too_large_is_refused(ends) -> None:
    ends[0].sendall(struct.pack("<4sIQ", b"MASF", MOST_HEADER_BYTES + 1, 0))
    with pytest.raises(WireError, match="too large"):
        receive_frame(ends[1])


def test_a_frame_that_breaks_off_is_an_end(ends) -> None:
    ends[0].sendall(b"MASF\x05")
    ends[0].close()
    with pytest.raises(ConnectionError):
        receive_frame(ends[1])


def test_the_socket_is_its_owners_alone(tmp_path) -> None:
    path = tmp_path / "private" / "s.sock"
    with listen_privately(path), connect(str(path), 5.0):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "rule",
    LOCAL_RULES,
)
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_a_request_survives_json_whatever_a_method_asks(rule, protocol) -> None:
    training = LocalTraining(
        2, 5, 0.85, 1e-4 / 3, 7, rule, AffinityRule("linear", 3, True), True, protocol
    )
    settings = RoundSettings(training, 0.1 / 3, True)
    request = RoundRequest("sd@1", ("s", "d"), 4, [1], 9, settings)
    plain = json.loads(json.dumps(encode_request(request, WIRE)))
    assert decode_request(plain, 1, WIRE) == request


WIRE = MultitaskWire()
REQUEST = RoundRequest("sd", ("s", "d"), 0, [3], 0, RoundSettings(LocalTraining(1, 1), 0.1, True))


def test_a_result_survives_json_to_the_last_bit() -> None:
    mean = np.random.default_rng(0).normal(size=(2, 2))
    update = Update(3, {}, {"s": 1 / 3, "d": 2 / 7}, ClientAffinity(3, mean, 11))
    found = decode_result(json.loads(json.dumps(encode_result(update, WIRE))), REQUEST, 3, WIRE)
    assert found.losses == update.losses
    assert np.array_equal(found.measured.mean, mean)
    assert (found.measured.client, found.measured.count) == (3, 11)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"losses": {"s": math.nan, "d": 1.0}}, "finite"),
        ({"losses": {"s": 1.0}}, "not of the tasks"),
        ({"losses": None}, "not of the tasks"),
        ({"measured": None}, "missing"),
        ({"measured": {"mean": [[1.0]], "count": 1}}, "2×2"),
        ({"measured": {"mean": [[1.0, None], [1.0, 1.0]], "count": 1}}, "2×2"),
        ({"measured": {"mean": [[1.0, 1.0], [1.0, 1.0]], "count": 0}}, "look-aheads"),
    ],
)
def test_a_result_that_is_not_of_this_job_is_refused(change, words) -> None:
    good = {"losses": {"s": 1.0, "d": 1.0},
            "measured": {"mean": [[1.0, 1.0], [1.0, 1.0]], "count": 1}}  # fmt: skip
    decode_result(good, REQUEST, 3, WIRE)
    with pytest.raises(RefusedError, match=words):
        decode_result({**good, **change}, REQUEST, 3, WIRE)


def test_tensors_of_other_names_are_refused() -> None:
    like = {"w": torch.zeros(2)}
    assert torch.equal(
        decode_tensors(encode_tensors({"w": torch.ones(2)}), like)["w"], torch.ones(2)
    )
    for tensors in ({"v": torch.ones(2)}, {}, {"w": torch.ones(2), "v": torch.ones(1)}):
        with pytest.raises(RefusedError, match="names"):
            decode_tensors(encode_tensors(tensors), like)
    with pytest.raises(RefusedError, match="float64"):
        decode_tensors(encode_tensors({"w": torch.ones(2, dtype=torch.float64)}), like)
