"""Words for Flower's programs follow its release; orders are taken on the loopback alone."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.core.errors import FleetError
from harness.fleet import flower_lines
from harness.fleet.app.guarded import with_token, without_token
from harness.fleet.commands.node import _wrong_server
from harness.fleet.flower_lines import GrpcLine, HttpLine, Ports, Tls, line_of, require_flower

PORTS = Ports(orders=5001, inner=5002, host="10.0.0.7", devices=8000)
TLS = Tls(Path("/k/ca.pem"), Path("/k/server.pem"), Path("/k/server.key"))


@pytest.mark.parametrize(
    ("version", "line"),
    [("1.30.0", GrpcLine()), ("1.30.3", GrpcLine()), ("1.41.0", HttpLine()),
     ("1.42.0.dev1", HttpLine()), ("1.29.9", None), ("1.31.0", None), ("1.40.0", None),
     ("1.43.0", None), ("2.30.0", None), ("1", None), ("one.two", None), ("", None)],
)  # fmt: skip
def test_a_release_belongs_to_one_line_or_to_none(version, line) -> None:
    assert line_of(version) == line


@pytest.mark.parametrize("version", ["1.31.0", "1.43.1"])
def test_another_release_is_named_and_refused(monkeypatch, version) -> None:
    monkeypatch.setattr(flower_lines.util, "find_spec", lambda _: object())
    monkeypatch.setattr(flower_lines.metadata, "version", lambda _: version)
    with pytest.raises(FleetError, match=f"flwr {version} is not one .*1.30, 1.41–1.42"):
        require_flower()


def test_without_flower_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setattr(flower_lines.util, "find_spec", lambda _: None)
    with pytest.raises(FleetError, match="not installed") as caught:
        require_flower()
    assert "fleet" in caught.value.remedy


@pytest.mark.parametrize("line", [GrpcLine(), HttpLine()], ids=["1.30", "1.41"])
@pytest.mark.parametrize("tls", [None, TLS], ids=["insecure", "tls"])
def test_only_the_devices_port_of_the_grpc_line_is_open_to_others(line, tls) -> None:
    words = line.superlink(PORTS, tls)
    hosts = [word for word in words if word[0].isdigit() and not word.isdigit()]
    if line.has_own_door:
        door = words[words.index("--fleet-api-address") + 1]
        assert door == "10.0.0.7:8000"
        hosts.remove(door)
    assert hosts
    assert all(host.startswith("127.0.0.1") for host in hosts)
    assert ("--insecure" in words) == (tls is None)
    assert ("--enable-supernode-auth" in words) == (tls is not None)


def test_an_address_of_six_colons_is_bracketed() -> None:
    words = GrpcLine().superlink(Ports(1, 2, "::1", 3), None)
    assert words[words.index("--fleet-api-address") + 1] == "[::1]:3"


@pytest.mark.parametrize("line", [GrpcLine(), HttpLine()], ids=["1.30", "1.41"])
def test_a_device_takes_orders_of_its_own_programs_alone(line) -> None:
    words = line.supernode("server:8000", 9094, (Path("/k/ca.pem"), Path("/k/n1")))
    assert words[:2] == ["--superlink", "server:8000"]
    assert any(word.startswith("127.0.0.1") for word in words)
    assert words[-2:] == ["--auth-supernode-private-key", "/k/n1"]
    assert line.supernode("server:8000", 9094, None)[-1] == "--insecure"


@pytest.fixture
def door():
    """Answer one caller after another with bytes."""
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    link, _ = server.accept()
                    with link:
                        link.recv(1000)
                        link.sendall(answers[0])

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], answers
        server.shutdown(socket.SHUT_RDWR)


GRPC_SETTINGS = bytes.fromhex("00001804000000000000040040000000050040000000060000")
"""What a gRPC server sends first: a SETTINGS frame of HTTP/2 (RFC 9113, section 3.4)."""


@pytest.mark.parametrize(
    ("answer", "line", "stranger"),
    [(b"HTTP/1.1 403 Forbidden\r\n\r\n", HttpLine(), False),
     (b"HTTP/1.1 403 Forbidden\r\n\r\n", GrpcLine(), True),
     (GRPC_SETTINGS, GrpcLine(), False), (GRPC_SETTINGS, HttpLine(), True),
     (b"", GrpcLine(), False), (b"", HttpLine(), False)],
)  # fmt: skip
def test_a_device_knows_a_server_of_the_other_line(door, answer, line, stranger) -> None:
    port, answers = door
    answers.append(answer)
    said = _wrong_server("127.0.0.1", port, line, None)
    assert bool(said) == stranger
    assert not stranger or line.name in said


def test_nobody_there_is_no_server_of_another_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert _wrong_server("127.0.0.1", port, GrpcLine(), None) == ""


def test_a_token_goes_through_a_file_to_a_program_that_cannot_read_one() -> None:
    """What another user sees of the program is the name of a file that only it can open."""
    words, descriptor = without_token(["prog", "--insecure", "--token", "s3cret", "--more"])
    assert "s3cret" not in words
    assert descriptor is not None
    try:
        code = (
            "import sys; from harness.fleet.app.guarded import with_token;"
            "print(with_token(sys.argv[1:])[3])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *words], pass_fds=(descriptor,), text=True,
            capture_output=True, check=True,
        )  # fmt: skip
    finally:
        os.close(descriptor)
    assert done.stdout.strip() == "s3cret"
    assert with_token(["prog", "--more"]) == ["prog", "--more"]
