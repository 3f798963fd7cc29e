"""The reverse proxy passes on what devices need, over TLS, and nothing else."""

import asyncio
import contextlib
import http.client
import http.server
import io
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.fleet import reverse_proxy
from harness.fleet.programs import past_proxies
from harness.fleet.reach import (
    certificate_problem,
    connection_problem,
    direct_hosts,
    split_address,
)
from tests.harness.fleet.rig import environment, free_port

pytest.importorskip("starlette", reason="Flower of Python 3.10 needs no reverse proxy")


class Behind(http.server.BaseHTTPRequestHandler):
    """Answer every POST with what was asked, and remember it."""

    asked: list = []  # noqa: RUF012 - one per test process

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.asked.append((self.path, body, self.headers.get("x-signature")))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    from harness.fleet.certificates import make_keys  # noqa: PLC0415 - needs cryptography

    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, ["127.0.0.1"], ["pi-0"])
    return folder


@pytest.fixture(scope="module")
def proxy(keys):
    """Return a function that sends a request through a real reverse proxy."""
    behind = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    port, own = free_port(), keys / "server"
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.fleet.reverse_proxy", "--host=127.0.0.1", f"--port={port}",
         f"--target=http://127.0.0.1:{behind.server_port}", "--most-body-bytes=1000",
         f"--authority={own / 'authority.crt'}", f"--certificate={own / 'server.crt'}",
         f"--key={own / 'server.key'}"], env=environment(), start_new_session=True,
    )  # fmt: skip
    trusted = ssl.create_default_context(cafile=str(keys / "pi-0" / "authority.crt"))

    def ask(path: str, body: bytes = b"abc", method: str = "POST", context=trusted, **headers):
        link = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        try:
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    try:
        end_s = time.monotonic() + 30
        while True:
            try:
                ask("/")
                break
            except ConnectionRefusedError:
                assert time.monotonic() < end_s
                assert process.poll() is None
                time.sleep(0.05)
        yield ask
    finally:
        process.kill()
        process.wait()
        behind.shutdown()
        behind.server_close()


def test_a_devices_request_passes_with_body_and_signature(proxy) -> None:
    Behind.asked.clear()
    status, body = proxy("/v1/fleet/pull-messages", b"abc", **{"x-signature": "s"})
    assert (status, body) == (200, b"cba")
    assert Behind.asked == [("/v1/fleet/pull-messages", b"abc", "s")]


@pytest.mark.parametrize(
    "path",
    ["/v1/control/start-run", "/v1/control/list-runs", "/v1/runtime/pull-task", "/health", "/",
     "/v1/fleet/../control/start-run", "/v1/fleet//../../v1/control/start-run",
     "/v1/fleet/%2e%2e/control/start-run", "/V1/control/start-run"],
)  # fmt: skip
def test_control_and_all_else_end_here(proxy, path) -> None:
    Behind.asked.clear()
    status, _ = proxy(path)
    assert status in (403, 404)
    assert Behind.asked == []


def test_a_body_that_is_too_large_is_not_passed_on(proxy) -> None:
    Behind.asked.clear()
    assert proxy("/v1/fleet/push-object", b"x" * 1001)[0] == 413
    assert Behind.asked == []


def test_a_client_that_does_not_know_the_authority_refuses_the_proxy(proxy) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        proxy("/v1/fleet/pull-messages", context=ssl.create_default_context())


def test_private_files_are_private_and_keys_are_kept(keys) -> None:
    from harness.fleet.certificates import make_keys  # noqa: PLC0415

    private = [keys / "server" / "authority.key", keys / "server" / "server.key",
               keys / "pi-0" / "node.key"]  # fmt: skip
    assert [oct(path.stat().st_mode & 0o777) for path in private] == ["0o600"] * 3
    assert not (keys / "pi-0" / "authority.key").exists()
    before = [private[0].read_bytes(), private[2].read_bytes()]
    make_keys(keys, ["127.0.0.1"], ["pi-0", "pi-1"])
    assert [private[0].read_bytes(), private[2].read_bytes()] == before
    assert (keys / "server" / "nodes" / "pi-1.pub").exists()


async def _pieces(*pieces: bytes, pause_s: float = 0.0):
    for piece in pieces:
        await asyncio.sleep(pause_s)
        yield piece


@pytest.mark.parametrize(
    ("pieces", "pause_s", "room_bytes", "status"),
    [((b"x" * 6, b"y" * 6), 0.0, 100, 413), ((b"x",), 5.0, 100, 408), ((b"x" * 9,), 0.0, 8, 503)],
)
def test_a_body_that_is_large_slow_or_one_too_many_is_not_held(
    monkeypatch, pieces, pause_s, room_bytes, status
) -> None:
    """10 bytes at most; 0.05 s of silence; room for 8 bytes of all clients together."""
    monkeypatch.setattr(reverse_proxy, "PIECE_S", 0.05)
    room = reverse_proxy.Room(room_bytes)
    with pytest.raises(reverse_proxy.RefusedBodyError) as caught, room.share() as share:
        asyncio.run(
            reverse_proxy.receive_body(_pieces(*pieces, pause_s=pause_s), io.BytesIO(), 10, share)
        )
    assert (caught.value.status, room.held_bytes) == (status, 0)


def test_a_whole_body_is_written_as_it_came() -> None:
    room, file = reverse_proxy.Room(100), io.BytesIO()
    with room.share() as share:
        length = asyncio.run(reverse_proxy.receive_body(_pieces(b"ab", b"c"), file, 10, share))
        assert (length, file.getvalue(), room.held_bytes) == (3, b"abc", 3)
    assert room.held_bytes == 0


def test_a_full_disk_refuses_a_body_and_keeps_no_room(monkeypatch) -> None:
    """Linux has a file that is always full."""
    httpx = pytest.importorskip("httpx")
    app = reverse_proxy.proxy_app("http://127.0.0.1:9", False, 1 << 20)
    rooms = []

    def full_disk(_: int) -> io.FileIO:
        return io.FileIO("/dev/full", "r+")

    monkeypatch.setattr(reverse_proxy.tempfile, "SpooledTemporaryFile", full_disk)
    take = reverse_proxy.Room.take

    def noted(room, count):
        rooms.append(room)
        take(room, count)

    monkeypatch.setattr(reverse_proxy.Room, "take", noted)

    async def ask():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
            return await client.post("/v1/fleet/x", content=b"x" * 10)

    answer = asyncio.run(ask())
    assert rooms[0].held_bytes == 0
    assert (answer.status_code, "No space left" in answer.text) == (503, True)


def test_a_folder_that_was_there_keeps_its_mode(tmp_path) -> None:
    """`keys --out .` is somebody's folder of work."""
    from harness.fleet.certificates import make_keys  # noqa: PLC0415

    tmp_path.chmod(0o755)
    make_keys(tmp_path, ["127.0.0.1"], ["pi-0"])
    modes = [oct(p.stat().st_mode & 0o777) for p in (tmp_path, tmp_path / "server")]
    assert modes == ["0o755", "0o700"]


def test_a_certificate_that_does_not_name_the_address_is_said(keys) -> None:
    """The same server under two addresses; its certificate names one of them."""
    own = keys / "server"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own / "server.crt", own / "server.key")
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        listener.listen()
        port = listener.getsockname()[1]

        def serve() -> None:
            with contextlib.suppress(OSError):
                link, _ = listener.accept()
                with contextlib.suppress(OSError):
                    context.wrap_socket(link, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        said = certificate_problem("127.0.0.2", port, own / "authority.crt")
    assert "certificate" in said
    assert "--server 127.0.0.2" in said
    assert "no server answers" in connection_problem("127.0.0.2", port)


@pytest.mark.parametrize(
    ("text", "found"),
    [("pi.lan", ("pi.lan", 8000)), ("pi.lan:81", ("pi.lan", 81)), ("::1", ("::1", 8000)),
     ("[fd00::1]:81", ("fd00::1", 81)), ("[fd00::1]", ("fd00::1", 8000))],
)  # fmt: skip
def test_an_address_may_name_its_port(text, found) -> None:
    assert split_address(text, 8000) == found


def test_what_is_on_this_host_or_network_is_never_behind_a_proxy(monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "lab.local")
    told = past_proxies(direct_hosts("192.168.1.5"))["no_proxy"].split(",")
    assert told == ["lab.local", "127.0.0.1", "localhost", "::1", "192.168.1.5"]
    assert "board.example.org" not in past_proxies(direct_hosts("board.example.org"))["no_proxy"]


def test_a_token_of_flower_stands_in_no_list_of_processes() -> None:
    """The child finds it in the file that the command names, and nothing of it in its arguments."""
    from harness.fleet.app.guarded import without_token  # noqa: PLC0415 - needs Flower

    read = "import sys; print(open(sys.argv[2]).read()); print(open('/proc/self/cmdline').read())"
    words, descriptor = without_token([sys.executable, "-c", read, "--token", "secret", "--more"])
    said = subprocess.run(
        words, pass_fds=[descriptor], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert said.startswith("secret\n")
    assert "secret" not in said.partition("\n")[2]
    assert without_token(["a", "--more"]) == (["a", "--more"], None)


def test_a_node_without_work_naps_no_longer_than_it_must(monkeypatch) -> None:
    """Flower sleeps 3 s between two looks for work; everything else of its clock stays."""
    from harness.fleet.app import supernode  # noqa: PLC0415 - beside Flower

    slept: list[float] = []
    monkeypatch.setattr(supernode.time, "sleep", slept.append)
    hasty = supernode.HastyTime()
    hasty.sleep(3)
    hasty.sleep(0.1)
    assert slept == [supernode.LONGEST_S, 0.1]
    assert hasty.monotonic() > 0.0
