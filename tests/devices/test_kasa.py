"""TP-Link plugs through python-kasa, which speaks to a plug played on this machine."""

import asyncio
import gc
import json
import struct
import sys
import threading

import pytest

if sys.version_info < (3, 11):
    pytest.skip("python-kasa needs Python 3.11", allow_module_level=True)
pytest.importorskip("kasa")

from kasa.transports.xortransport import XorEncryption

from devices.errors import DeviceError
from devices.meters.kasa import KasaMeter
from devices.meters.usability import try_out

pytestmark = pytest.mark.filterwarnings("ignore")

INFO = {
    "sw_ver": "1.0.19", "hw_ver": "1.0", "model": "KP115(EU)", "deviceId": "0" * 40,
    "oemId": "0" * 32, "hwId": "0" * 32, "rssi": -50, "latitude_i": 0, "longitude_i": 0,
    "alias": "board", "status": "new", "mic_type": "IOT.SMARTPLUGSWITCH", "feature": "TIM:ENE",
    "mac": "00:00:00:00:00:01", "updating": 0, "led_off": 0, "relay_state": 1, "on_time": 5,
    "active_mode": "none", "icon_hash": "", "dev_name": "Smart Wi-Fi Plug Mini",
    "next_action": {"type": -1}, "ntc_state": 0, "err_code": 0,
}  # fmt: skip


class Plug:
    """Answer the older Kasa protocol on a port of this machine."""

    def __init__(self, power_mw=8400, feature="TIM:ENE"):
        self.power_mw = power_mw
        self.writers = []
        self.info = {**INFO, "feature": feature}
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0)
        )
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def stop(self):
        asyncio.run_coroutine_threadsafe(self.leave(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        gc.collect()  # what is left open is this test's, not the next one's

    async def leave(self):
        """Answer nobody any more."""
        self.server.close()
        for writer in self.writers:
            writer.close()
            writer.transport.abort()
        await asyncio.sleep(0.05)
        self.writers.clear()

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        try:
            while True:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                asked = json.loads(XorEncryption.decrypt(await reader.readexactly(length)))
                writer.write(XorEncryption.encrypt(json.dumps(self._answer(asked))))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, asked):
        known = {
            "get_sysinfo": self.info,
            "get_timezone": {"index": 39, "err_code": 0},
            "get_time": {
                "year": 2026, "month": 5, "mday": 1, "hour": 12, "min": 0, "sec": 0, "err_code": 0,
            },
            "get_realtime": {
                "voltage_mv": 230000, "current_ma": 40, "power_mw": self.power_mw, "total_wh": 5,
                "err_code": 0,
            },
        }  # fmt: skip
        return {
            module: {name: known.get(name, {"err_code": -2, "err_msg": "no"}) for name in calls}
            for module, calls in asked.items()
        }


@pytest.fixture
def plug():
    found = Plug()
    yield found
    found.stop()


def meter(plug, **options):
    return KasaMeter(options={"host": "127.0.0.1", "port": str(plug.port), **options})


def test_watts_of_a_plug_and_lost_answers(plug):
    found = meter(plug)
    found.open()
    assert found.read()[0].value == pytest.approx(8.4)
    plug.power_mw = 9100
    assert found.read()[0].value == pytest.approx(9.1)  # asked anew each time
    info = found.describe()
    assert (info.scope, info.kind, info.max_rate_hz) == ("wall", "sampled", 1.0)
    assert not try_out(found, lambda _: None).fault
    plug.power_mw = 0
    assert try_out(found, lambda _: None).fault  # a plug that does not see its load
    found.close()


def test_a_plug_that_is_gone_is_no_value_and_is_refused(plug):
    found = meter(plug)
    found.open()
    asyncio.run_coroutine_threadsafe(plug.leave(), plug.loop).result(10)
    assert found.read()[0].value is None
    found.close()
    answer = KasaMeter.probe(options={"host": "127.0.0.1", "port": str(plug.port)})
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")
    assert "does not answer" in answer.reason


def test_a_plug_without_a_meter_is_refused():
    plain = Plug(feature="TIM")
    try:
        with pytest.raises(DeviceError, match="no power meter"):
            meter(plain).open()
    finally:
        plain.stop()


def test_a_socket_that_is_not_there_is_refused(plug):
    with pytest.raises(DeviceError, match="no socket number 2"):
        meter(plug, socket="2").open()


@pytest.mark.parametrize(
    "options",
    [
        {}, {"host": "a b"}, {"host": "x", "port": "70000"}, {"host": "x", "socket": "one"},
        {"host": "x", "login_file": "nowhere"}, {"host": "x", "password": "secret"},
    ],
)  # fmt: skip
def test_senseless_options(options):
    with pytest.raises(DeviceError):
        KasaMeter(options=options)


def test_a_login_is_two_lines_of_a_file(tmp_path):
    path = tmp_path / "login"
    path.write_text("me@example.org\nsecret\n")
    assert KasaMeter(options={"host": "x", "login_file": str(path)})._login[0] == "me@example.org"
    path.write_text("me@example.org\n")
    with pytest.raises(DeviceError, match="two lines"):
        KasaMeter(options={"host": "x", "login_file": str(path)})
