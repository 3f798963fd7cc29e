"""The reverse proxy passes on what devices need, over TLS, and nothing else."""

import http.client
import http.server
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.harness.fleet.rig import environment, free_port

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="Flower needs Python 3.11")


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
