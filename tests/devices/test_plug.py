"""Smart plugs: watts at the wall, passwords unseen, and no number from a doubtful answer."""

import base64
import contextlib
import http.server
import json
import socket
import threading
import time
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import DeviceError
from devices.meters.plug import PlugMeter, parse_shelly, parse_tasmota
from devices.meters.plug_http import FetchError, Reply, digest_answer, fetch_url, parse_object
from devices.meters.usability import try_out

SHELLY = {
    "id": 0,
    "source": "WS_in",
    "output": True,
    "apower": 88.9,
    "voltage": 233.2,
    "aenergy": {"total": 21.78, "by_minute": [1047.135, 837.708, 628.281]},
}
TASMOTA = (
    '{"StatusSNS": {"Time": "2022-01-11T21:57:38", "ENERGY": '
    '{"Total": 3.705, "Today": 0.026, "Power": 5, "Factor": 1.00, "Voltage": 233}}}'
)
SECRET = "hunter2&x"


class FakePlug:
    """Answer with what the test says, and keep what was asked."""

    def __init__(self, *replies):
        self.replies = deque(replies)
        self.asked = []

    def __call__(self, url, headers, timeout_s):
        self.asked.append((url, dict(headers)))
        reply = self.replies[0] if len(self.replies) == 1 else self.replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, Reply) else Reply(200, reply)


def shelly(**changes):
    return json.dumps({**SHELLY, **changes}).encode()


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n")
    return str(path)


def opened(plug, clock, **options):
    meter = PlugMeter(clock=clock, options={"host": "192.0.2.7", **options}, fetch=plug)
    meter.open()
    return meter


def test_shelly(clock):
    """apower is the value, aenergy.total of 21.78 Wh shows steps of 36 J and is only noted."""
    plug = FakePlug(shelly())
    meter = opened(plug, clock, type="shelly", channel="2")
    assert [sample.value for sample in meter.read()] == [88.9]
    assert plug.asked[0][0] == "http://192.0.2.7/rpc/Switch.GetStatus?id=2"
    info = meter.describe()
    assert (info.kind, info.scope, info.max_rate_hz) == ("sampled", "wall", 1.0)
    assert info.rails[0].resolution_w == 0.1
    assert any("36 J" in note for note in info.notes)
    reading = parse_shelly(parse_object(shelly()))
    assert reading.total_j == pytest.approx(21.78 * 3600)


def test_tasmota(clock):
    """Power in whole watts is a 1 W step; Total of 3.705 kWh shows steps of 3.6 kJ."""
    plug = FakePlug(TASMOTA.encode())
    meter = opened(plug, clock, type="tasmota")
    assert [sample.value for sample in meter.read()] == [5.0]
    assert plug.asked[0][0] == "http://192.0.2.7/cm?cmnd=Status%2010"
    assert meter.describe().rails[0].resolution_w == 1.0
    assert any("3600 J" in note for note in meter.describe().notes)
    assert parse_tasmota(parse_object(TASMOTA.encode())).total_j == pytest.approx(3.705 * 3.6e6)


def test_tasmota_with_more_digits():
    """WattRes 3 and EnergyRes 5 are seen in the printed digits, trailing zeros included."""
    text = TASMOTA.replace('"Power": 5', '"Power": 5.120').replace("3.705", "3.70500")
    reading = parse_tasmota(parse_object(text.encode()))
    assert reading.resolution_w == pytest.approx(0.001)
    assert reading.total_step_j == pytest.approx(36.0)


def test_negative_power_is_kept_and_noted(clock):
    """A load wired the wrong way round keeps its sign."""
    meter = opened(FakePlug(shelly(apower=-88.9)), clock, type="shelly")
    assert meter.read()[0].value == -88.9
    assert any("negative" in note for note in meter.describe().notes)


@pytest.mark.parametrize(
    "changes",
    [
        {"apower": None},
        {"apower": "88,9"},
        {"apower": True},
        {"apower": 1e9},
        {"apower": [88.9]},
        {"output": False, "apower": 0.0},
        {"errors": ["power_meter_failure"]},
    ],
)
def test_doubtful_shelly_answers(clock, changes):
    """No meter, a fault, a switched-off relay or an absurd figure is no power."""
    with pytest.raises(DeviceError):
        parse_shelly({**SHELLY, **changes})
    answer = PlugMeter.probe(
        options={"host": "plug", "type": "shelly"}, fetch=FakePlug(shelly(**changes))
    )
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    meter = opened(FakePlug(shelly(), shelly(**changes)), clock, type="shelly")
    assert meter.read()[0].value is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"StatusSNS": {}},
        {"StatusSNS": {"ENERGY": 5}},
        {"ENERGY": {"Power": "5"}},
        {"ENERGY": {"Power": [5, 6]}},
        {"ENERGY": {"Total": 3.705}},
    ],
)
def test_doubtful_tasmota_answers(data):
    """No ENERGY, several channels or text instead of a number is no power."""
    with pytest.raises(DeviceError):
        parse_tasmota(parse_object(json.dumps(data).encode()))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1]", b'{"apower": NaN}', b'{"apower": 1', b"\xff\xfe", b"[" * 60_000],
)
def test_not_json(body):
    """Anything but a JSON object is the typed error; NaN is not JSON."""
    with pytest.raises(FetchError):
        parse_object(body)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["apower", "ENERGY", "Power", "Total", "aenergy", "total"]),
                    inner,
                )
            ),
        ).map(lambda data: json.dumps(data).encode()),
        st.from_regex(rb'\{"(apower|ENERGY)":-?[0-9]{1,30}(\.[0-9]{1,9})?[eE]?[0-9]{0,12}\}'),
    )
)
def test_any_answer_is_a_power_or_a_typed_error(body):
    """Random bytes, odd JSON and huge numbers never crash and never give an absurd power."""
    for parse in (parse_shelly, parse_tasmota):
        try:
            reading = parse(parse_object(body))
        except (FetchError, DeviceError, PermissionError):
            continue
        assert abs(reading.power_w) <= 4000.0
        assert reading.total_j is None or abs(reading.total_j) < float("inf")


def test_lost_answers_are_no_value(clock):
    """A timeout, an error page and a short answer are failed reads; then it goes on."""
    plug = FakePlug(
        shelly(), FetchError("timeout"), Reply(500, b""), b'{"apower"', shelly(apower=7.5)
    )
    meter = opened(plug, clock, type="shelly")
    assert [meter.read()[0].value for _ in range(4)] == [None, None, None, 7.5]


def test_unreachable_plug():
    """Nobody answering is no sensor, with a command to try."""
    plug = FakePlug(FetchError("timed out"))
    answer = PlugMeter.probe(options={"host": "192.0.2.7", "type": "tasmota"}, fetch=plug)
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")
    assert "curl" in answer.fix


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "plug"},
        {"host": "plug", "type": "kasa"},
        {"host": "a/b", "type": "shelly"},
        {"host": "user@plug", "type": "shelly"},
        {"host": "plug", "type": "shelly", "channel": "x"},
        {"host": "plug", "type": "shelly", "password_file": "/nonexistent"},
        {"host": "plug", "type": "shelly", "password": "1234"},
        {"host": "plug", "type": "shelly", "colour": "red"},
    ],
)
def test_senseless_options(options):
    """Missing or wrong options are refused before anything is asked."""
    plug = FakePlug(shelly())
    answer = PlugMeter.probe(options=options, fetch=plug)
    assert (answer.usable, answer.reason_code) == (False, "bad-option")
    assert plug.asked == []


def test_digest_of_the_standard():
    """The response is the one RFC 7616 prints in section 3.9.1 for SHA-256."""
    challenge = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    answer = digest_answer(challenge, ("Mufasa", "Circle of Life"), "/dir/index.html", client_nonce)
    digest = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    assert f'response="{digest}"' in answer


@pytest.mark.parametrize(
    "challenge", ["Basic realm=x", "Digest realm=x, qop=auth", "Digest", "", "Digest ,,,="]
)
def test_other_challenges_are_refused(challenge):
    """Weaker or unknown kinds of authentication get no answer at all."""
    with pytest.raises(FetchError):
        digest_answer(challenge, ("admin", SECRET), "/", "nonce")


def test_shelly_with_a_password(clock, password_file):
    """A challenge is answered once; the password itself is never sent."""
    refusal = Reply(401, b"", 'Digest qop="auth", realm="shelly", nonce="1", algorithm=SHA-256')
    plug = FakePlug(refusal, Reply(200, shelly()), shelly())
    opened(plug, clock, type="shelly", password_file=password_file)
    assert plug.asked[1][1]["Authorization"].startswith('Digest username="admin"')
    assert SECRET not in str(plug.asked)


@pytest.mark.parametrize("kind", ["shelly", "tasmota"])
def test_passwords_are_never_told(kind, password_file):
    """A wrong password is a permission problem whose text does not hold it."""
    refusals = {
        "shelly": Reply(401, b"", 'Digest qop="auth", realm="r", nonce="1", algorithm=SHA-256'),
        "tasmota": Reply(200, b'{"WARNING":"Need user=<username>&password=<password>"}'),
    }
    options = {"host": "plug", "type": kind, "password_file": password_file}
    answer = PlugMeter.probe(options=options, fetch=FakePlug(refusals[kind]))
    assert (answer.usable, answer.reason_code) == (False, "permission")
    assert "password_file=FILE" in answer.fix
    assert SECRET not in str(answer)


def test_password_is_no_option():
    """A password typed as an option would reach `ps`, so it is refused and not repeated."""
    options = {"host": "plug", "type": "shelly", "password": SECRET}
    answer = PlugMeter.probe(options=options, fetch=FakePlug(shelly()))
    assert (answer.usable, answer.reason_code) == (False, "bad-option")
    assert "password_file" in answer.fix
    assert SECRET not in str(answer)


def test_tasmota_password_is_quoted(clock, password_file):
    """Tasmota wants the password in the address: its special characters are escaped there."""
    plug = FakePlug(TASMOTA.encode())
    meter = opened(plug, clock, type="tasmota", password_file=password_file)
    assert "user=admin&password=hunter2%26x&cmnd=Status%2010" in plug.asked[0][0]
    assert SECRET not in str(meter.describe())


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serve one Shelly, an error, and rubbish."""

    def do_GET(self):
        body = shelly()
        self.send_response(401 if "id=9" in self.path else 200)
        if "id=9" in self.path:
            self.send_header("WWW-Authenticate", "Basic realm=plug")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Say nothing."""


def test_over_a_real_connection(monkeypatch, clock):
    """The standard library's side works: status, body, challenge, and never through a proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = http.server.HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        options = {"host": f"127.0.0.1:{server.server_port}", "type": "shelly"}
        assert PlugMeter.probe(options=options).usable
        assert PlugMeter.probe(options={**options, "channel": "9"}).reason_code == "permission"
        reply = fetch_url(f"{base}/?id=9", {}, 1.0)
        assert (reply.status, reply.challenge) == (401, "Basic realm=plug")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(FetchError, match="refused"):
        fetch_url(base, {}, 1.0)


def test_transport_errors_do_not_repeat_the_address():
    """An error text could carry the password of the address, so it never holds the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with listener, pytest.raises(FetchError) as silent:
        fetch_url(f"http://127.0.0.1:{port}/cm?password={SECRET}", {}, 0.05)
    with pytest.raises(FetchError) as invalid:
        fetch_url(f"http://127.0.0.1:{port}/{SECRET} x", {}, 0.05)  # a blank is not allowed
    assert SECRET not in str(silent.value) + str(invalid.value)


class ByPath:
    """Answer by the beginning of the path; anything else is not found."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, url, headers, timeout_s):
        self.asked.append(url.removeprefix("http://192.0.2.7"))
        for name, answer in self.answers.items():
            if self.asked[-1].startswith((f"/rpc/{name}.GetStatus?", f"/{name}")):
                return Reply(200, json.dumps(answer).encode())
        return Reply(404, b"No handler")


@pytest.mark.parametrize(
    ("component", "answer", "power_w"),
    [
        ("Switch", SHELLY, 88.9),
        ("PM1", {"id": 0, "apower": 8.4, "aenergy": {"total": 699.393}}, 8.4),
        ("EM1", {"id": 0, "act_power": 12.5, "voltage": 230.1}, 12.5),
    ],
)
def test_the_meter_of_any_shelly_is_found(clock, component, answer, power_w):
    """PM Mini and energy meters keep it in other components; it is looked for once."""
    plug = ByPath(**{component: answer})
    meter = opened(plug, clock, type="shelly")
    asked = len(plug.asked)
    assert [meter.read()[0].value for _ in range(2)] == [power_w, power_w]
    assert plug.asked[asked:] == [f"/rpc/{component}.GetStatus?id=0"] * 2


@pytest.mark.parametrize(
    ("page", "answer", "counted_j"),
    [
        ("meter", {"power": 31.54, "is_valid": True, "total": 100}, 60.0),
        ("emeter", {"power": 31.54, "reactive": 0, "is_valid": True, "total": 12.5}, 360.0),
    ],
)
def test_the_first_generation_is_read_from_its_own_pages(clock, page, answer, counted_j):
    """A plug counts watt-minutes, an energy meter watt-hours; the page is looked for once."""
    plug = ByPath(**{page: answer})
    meter = opened(plug, clock, type="shelly")
    asked = len(plug.asked)
    assert [meter.read()[0].value for _ in range(2)] == [31.54, 31.54]
    assert plug.asked[asked:] == [f"/{page}/0"] * 2
    assert f"steps of {counted_j:g} J" in " ".join(meter.describe().notes)


def test_what_the_first_generation_calls_invalid_is_no_value(clock):
    plug = ByPath(meter={"power": 31.54, "is_valid": True, "total": 100})
    meter = opened(plug, clock, type="shelly")
    plug.answers["meter"]["is_valid"] = False
    assert meter.read()[0].value is None


def test_the_first_generation_takes_a_password_as_it_can(clock, password_file):
    """It knows no digest; later ones never get the password itself."""
    sent = []

    def fetch(url, headers, timeout_s):
        if "/rpc/" in url:
            return Reply(404, b"")
        sent.append(headers)
        if "Authorization" not in headers:
            return Reply(401, b"", 'Basic realm="SHPLG-S"')
        return Reply(200, json.dumps({"power": 9.0, "is_valid": True, "total": 1}).encode())

    opened(fetch, clock, type="shelly", password_file=str(password_file))
    assert (
        sent[1]["Authorization"] == "Basic " + base64.b64encode(f"admin:{SECRET}".encode()).decode()
    )

    def later(url, headers, timeout_s):
        sent.append(headers)
        return Reply(401, b"", 'Basic realm="shellyplus"')

    sent.clear()
    options = {"host": "192.0.2.7", "type": "shelly", "password_file": str(password_file)}
    assert not PlugMeter.probe(options=options, fetch=later).usable
    assert all("Authorization" not in headers for headers in sent)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ({"type": "SHPLG-S", "mac": "0", "fw": "v1"}, "SHPLG-S of the first generation has no"),
        ({"model": "SNSN-0024X", "gen": 2}, "Shelly SNSN-0024X has no meter number 3"),
        ({"type": "\x1b[31mred", "mac": "0"}, "the Shelly 31mred of the first"),
        ({}, "the device there has no meter number 3"),
    ],
)
def test_shellys_without_such_a_meter_are_told_apart(page, words):
    """The first generation has a type and no gen; what a plug tells of itself is cleaned."""
    options = {"host": "192.0.2.7", "type": "shelly", "channel": "3"}
    answer = PlugMeter.probe(options=options, fetch=ByPath(**({"shelly": page} if page else {})))
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert words in answer.reason
    assert answer.fix


@pytest.mark.parametrize(
    ("power_w", "words"),
    [
        (0.0, "reads 0 W, below what a device"),
        (0.1, "below what a device"),
        (-50.0, "reads -50 W, below zero"),
        (88.9, ""),
    ],
)
def test_what_a_plug_with_a_computer_behind_can_show(clock, power_w, words):
    """0 W is a plug that does not see its load; a load wired the wrong way round is named."""
    meter = opened(FakePlug(shelly(apower=power_w)), clock, type="shelly")
    fault = try_out(meter, clock.sleep).fault
    assert words in fault
    assert bool(fault) == bool(words)


def test_a_plug_that_drips_is_given_up(clock):
    """One byte now and then keeps no reader: the time is for the whole answer."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip():
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
            while not stop.wait(0.02):
                connection.sendall(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    start_s = time.monotonic()
    try:
        with pytest.raises(FetchError, match="timed out"):
            fetch_url(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, 0.2)
        assert time.monotonic() - start_s < 1.0
    finally:
        stop.set()
        thread.join()
        listener.close()


class _Odd(_Handler):
    """Send an answer elsewhere, or never end it."""

    def do_GET(self):
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(b"x" * (100_000 if self.path == "/long" else 0))


def test_an_answer_that_leads_elsewhere_or_is_too_long():
    """A redirection is not followed, and no plug says more than 64 KiB."""
    server = http.server.HTTPServer(("127.0.0.1", 0), _Odd)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        assert fetch_url(f"{base}/away", {}, 1.0).status == 302
        with pytest.raises(FetchError):
            fetch_url(f"{base}/long", {}, 1.0)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
