"""The doctor tells what a host is and what can measure it, on whole fake hosts."""

import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devices.meters.base import Availability, Meter, MeterInfo, Rail, RawSample
from devices.meters.registry import METERS
from harness.checkup.facts import ClockWatch
from harness.cli import doctor

REPOSITORY = Path(__file__).parents[3]
VOLATILE = ("rate_hz",)


@pytest.fixture
def ask(capsys):
    """Return a function that runs the command and gives exit status, output and errors."""

    def run(*words):
        status = doctor.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def ask_json(ask):
    def run(*words):
        status, out, _ = ask("--json", *words)
        return status, json.loads(out)

    return run


def meter_of(report, name):
    return next(meter for meter in report["meters"] if meter["name"] == name)


def test_orin_nano_is_recognised_with_its_set_up(ask_json, orin_nano):
    """Board, release, power mode (behind a fan line) and clocks are what the files say."""
    status, report = ask_json("--root", orin_nano)
    host = report["host"]
    assert (status, report["device"], report["ready"]) == (0, "jetson-orin-nano", True)
    assert (host["l4t"], host["jetpack"]) == ("36.4.3", "6.2")
    assert host["power_mode"] == {"name": "15W", "number": 0}
    assert host["clocks_pinned"] is False
    assert host["governor"] == "schedutil"
    to_do = {fix["what"]: fix["do"] for fix in report["fixes"]}
    assert to_do["power mode is 15W, not MAXN_SUPER"].startswith("sudo nvpmodel -m 2")
    assert to_do["clocks are not pinned (cpufreq)"] == "sudo jetson_clocks"


def test_orin_nano_total_is_its_input_rail(ask_json, orin_nano):
    """VDD_IN alone is the total: volts times amperes; the rails inside it are only shown."""
    meter = meter_of(ask_json("--root", orin_nano)[1], "ina3221")
    assert meter["usable"]
    assert meter["scope"] == "module"
    assert meter["power_w"] == pytest.approx(4.984 * 1.856)
    roles = {rail["name"]: rail["role"] for rail in meter["rails"]}
    assert roles == {"VDD_IN": "total", "VDD_CPU_GPU_CV": "witness", "VDD_SOC": "witness"}
    assert 0 < meter["rate_hz"] <= 10


def test_pi_5_sums_its_rails_and_tells_throttling(ask_json, pi_5):
    """Twelve rails of 0.5 W are 6 W; the sticky throttle bits are of the past, not of now."""
    _, report = ask_json("--root", pi_5)
    assert report["device"] == "raspberry-pi-5"
    assert report["verdict"] == "ready"
    assert meter_of(report, "pmic")["power_w"] == pytest.approx(12 * 0.25 * 2.0)
    assert report["host"]["throttled_now"] == []
    assert report["host"]["throttled_since_start"] == ["under-voltage", "throttled"]


def test_server_counters_are_summed_and_psys_is_a_witness(ask_json, tree):
    """Two packages and their memory are the total; counters that stand still have no power."""
    _, report = ask_json("--root", tree("intel-xeon-2s-dram-psys"))
    meter = meter_of(report, "rapl")
    assert report["device"] == "x86"
    assert meter["energy_j"] == pytest.approx(7000 + 9000 + 70 + 90)
    assert "power_w" not in meter
    assert [rail["name"] for rail in meter["rails"] if rail["role"] == "witness"] == ["psys"]


def test_duplicates_are_named_with_their_reason(ask_json, tree):
    """The memory-mapped twin of a package zone is named among what was left out."""
    _, report = ask_json("--root", tree("intel-core-ultra-255h"))
    left_out = {r["name"]: r["reason"] for r in meter_of(report, "rapl")["rejected"]}
    twin = next(name for name in left_out if name.startswith("intel-rapl-mmio:0"))
    assert left_out[twin].startswith("mirrors intel-rapl:")


def test_board_without_sensor_is_ready_for_modelled_energy(ask, tree):
    """A Pi 4 can run: status 0, the last line says that joules are modelled."""
    status, out, _ = ask("--root", tree("raspberry-pi-4"))
    assert status == 0
    assert out.splitlines()[-1] == "Ready with modelled energy only"
    assert "The board has no power sensor" in out
    to_do = out.split("To do\n")[1]
    assert "no meter that a run would take works: joules would be modelled" in to_do
    assert "attach a probe or a metering plug" in to_do
    assert "meter hwmon: no INA2xx power probe" in to_do
    assert "since start: under-voltage, throttled" in out


@pytest.mark.parametrize(
    ("packages", "free", "words"),
    [
        ({"torch": None, "numpy": "2.4.6"}, 10**11, "PyTorch is not installed"),
        ({"torch": "2.3.1", "numpy": "2.4.6"}, 10**11, "PyTorch 2.3.1 is older than 2.4"),
        ({"torch": "2.13.0+cpu", "numpy": None}, 10**11, "not installed: numpy"),
        ({"torch": "2.9.1", "numpy": "2.4.6"}, 10**8, "0.10 GB of disk"),
    ],
)
def test_what_blocks_a_run_is_numbered_first(ask, tree, facts, packages, free, words):
    """A missing or old package, or a full disk: status 3, the last line says Not ready."""
    root = tree("raspberry-pi-4")
    facts(root, arch="aarch64", cores_usable=4, packages=packages, disk_free_bytes=free)
    status, out, _ = ask("--root", root)
    assert status == 3
    first = out.split("To do\n")[1].splitlines()[0]
    assert first.startswith("  1. ")
    assert words in first
    assert first.endswith("(needed)")
    assert out.splitlines()[-1] == "Not ready"


def test_unknown_board_is_not_ready(ask_json, tmp_path, facts):
    """A host that no profile fits has no device; the fix names the option."""
    facts(tmp_path, arch="riscv64", cores_usable=4)
    status, report = ask_json("--root", tmp_path)
    assert (status, report["device"], report["ready"]) == (3, None, False)
    assert "--device NAME" in report["fixes"][0]["do"]


@pytest.mark.parametrize(
    "name",
    ["jetson-nano-jp4", "raspberry-pi-5", "amd-die-twins", "laptop-dtpm", "virtual-machine",
     "container"],
)  # fmt: skip
def test_json_keeps_its_form_on_every_host(ask_json, tree, name):
    """Every meter has the agreed fields; figures are finite numbers or absent, never null."""
    status, report = ask_json("--root", tree(name))
    assert status == 0
    assert {"device", "host", "ready", "meters"} <= set(report)
    for meter in report["meters"]:
        assert {"name", "usable", "reason", "fix", "scope", "rails"} <= set(meter)
        assert meter["usable"] or meter["reason"]
        assert not {"power_w", "energy_j"} & set(meter) or meter["usable"]
        for key in {"power_w", "energy_j"} & set(meter):
            assert math.isfinite(meter[key])


def without_volatile(report, root):
    """Drop what differs between two looks at one host: read times, and where the tree lies."""
    report = json.loads(json.dumps(report).replace(str(root), "ROOT"))
    meters = [{k: v for k, v in m.items() if k not in VOLATILE} for m in report["meters"]]
    return {**report, "meters": meters}


@pytest.mark.parametrize("host", ["orin_nano", "pi_5", "intel-xeon-2s-dram-psys"])
def test_dumped_host_gives_the_same_answer(ask_json, ask, tree, tmp_path, request, host):
    """What --dump-fixture wrote, files and programs, answers --root like the host itself."""
    root = tree(host) if host.startswith("intel") else request.getfixturevalue(host)
    copy = tmp_path / "copy"
    _, before = ask_json("--root", root)
    status, _, err = ask("--root", root, "--dump-fixture", copy)
    assert status == 0
    assert f"files written to {copy}" in err
    _, after = ask_json("--root", copy)
    assert without_volatile(after, copy) == without_volatile(before, root)
    kept = {p.relative_to(root) for p in root.rglob("*") if p.is_file()} - {Path("host.json")}
    new = {p.relative_to(copy) for p in copy.rglob("*") if p.is_file()} - {Path("host.json")}
    assert new <= kept


def test_dump_leaves_serial_numbers_behind(ask, tree, tmp_path):
    """The serial number of a Pi is cut out of the copy, the rest of the file stays."""
    root = tree("raspberry-pi-4")
    cpuinfo = root / "proc/cpuinfo"
    cpuinfo.write_text("processor\t: 0\nSerial\t\t: 10000000deadbeef\nModel\t: Raspberry Pi 4\n")
    ask("--root", root, "--dump-fixture", tmp_path / "copy")
    copied = (tmp_path / "copy/proc/cpuinfo").read_text()
    assert "deadbeef" not in copied
    assert copied.splitlines()[::2] == ["processor\t: 0", "Model\t: Raspberry Pi 4"]


def test_in_a_container_it_gives_the_line_that_shows_the_sensors(ask, ask_json, tree):
    """In words and for programs, whole and to be copied; on the bare board there is none."""
    root = tree("raspberry-pi-4")
    (root / "proc/cpuinfo").write_text("processor\t: 0\nModel\t\t: Raspberry Pi 4 Model B\n")
    assert ask_json("--root", root)[1]["container"] == {}
    (root / ".dockerenv").touch()
    said = ask("--root", root)[1].splitlines()
    ours = ask_json("--root", root)[1]["container"]
    assert list(ours) == ["Raspberry Pi"]
    assert f"  {ours['Raspberry Pi']}" in said
    assert "--device /dev/vcio" in ours["Raspberry Pi"]


def test_wrong_usage(ask, tree, tmp_path):
    """A folder that is not there, a full target, an unknown option or meter: status 2."""
    root = tree("raspberry-pi-4")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for words in (
        ("--root", tmp_path / "nothing"),
        ("--root", root, "--dump-fixture", tmp_path / "full"),
        ("--jsn",),
        ("--root", root, "--meter", "rapel"),
        ("--root", root, "--meter", "rapl:x"),
    ):
        status, out, err = ask(*words)
        assert (status, out) == (2, "")
        assert err.startswith("error: ")
    assert "Did you mean '--json'?" in ask("--jsn")[2]


def test_udev_rules_cover_every_file_family(ask):
    """The rules name powercap, both Jetson drivers and the Pi's mailbox."""
    status, out, _ = ask("--print-udev")
    assert status == 0
    rules = [line for line in out.splitlines() if line and not line.startswith("#")]
    for word in ("powercap", "energy_uj", "hwmon", "ina3221x", "vcio"):
        assert any(word in rule for rule in rules)


class FakeMeter(Meter):
    """Read what the class attributes say."""

    name = "fake"
    option_names = ("password",)
    rails = (Rail("in"), Rail("part", role="witness"))
    values = (7.5, 2.5)

    @classmethod
    def probe(cls, root=Path("/"), options=None):
        return Availability(cls.name, True)

    def refusal(self):
        pass

    def open(self):
        pass

    def read(self):
        return [RawSample(i, 0.0, 0.001, value) for i, value in enumerate(self.values)]

    def close(self):
        pass

    def describe(self):
        return MeterInfo(self.name, "sampled", "board", self.rails, max_rate_hz=1000.0)


def fake_report(ask_json, monkeypatch, root, kind, *words):
    monkeypatch.setitem(METERS, "fake", kind)
    return meter_of(ask_json("--root", root, *words)[1], "fake")


def test_witnesses_are_not_added(ask_json, monkeypatch, tree):
    """The total rail is the figure, at the rate that one reading of 1 ms allows."""
    meter = fake_report(ask_json, monkeypatch, tree("raspberry-pi-4"), FakeMeter)
    assert meter["power_w"] == 7.5
    assert meter["rate_hz"] == pytest.approx(1000.0)


def test_missing_total_rail_gives_no_figure(ask_json, monkeypatch, tree):
    """A total that was not read is absent, although another rail has a value."""
    kind = type("Half", (FakeMeter,), {"values": (None, 2.5)})
    meter = fake_report(ask_json, monkeypatch, tree("raspberry-pi-4"), kind)
    assert not meter["usable"]
    assert "in gave 0 readings" in meter["reason"]
    assert "power_w" not in meter
    assert meter["rails"] == [
        {"name": "in", "role": "total"},
        {"name": "part", "role": "witness", "power_w": 2.5},
    ]


def test_unknown_board_reports_rails_without_total(ask_json, monkeypatch, tree):
    """Rails that no rule adds up are shown; there is no figure, so the energy is modelled."""
    rails = (Rail("a", role="witness"), Rail("b", role="witness"))
    kind = type("Unknown", (FakeMeter,), {"rails": rails})
    monkeypatch.setitem(METERS, "fake", kind)
    _, report = ask_json("--root", tree("raspberry-pi-4"), "--meter", "fake")
    assert "power_w" not in meter_of(report, "fake")
    assert report["verdict"] == "modelled"


def test_named_meter_counts_and_its_password_is_not_shown(ask, monkeypatch, tree):
    """A meter the user names makes a Pi 4 ready; its options stay out of all output."""
    monkeypatch.setitem(METERS, "fake", FakeMeter)
    named = ("--root", tree("raspberry-pi-4"), "--meter", "fake:password=sesame")
    status, out, err = ask(*named)
    assert status == 0
    assert out.splitlines()[-1] == "Ready"
    assert "sesame" not in out + err + ask("--json", *named)[1]


def test_silent_meter_does_not_hold_up_the_rest(ask_json, monkeypatch, tree):
    """A sensor that never answers is reported as silent."""
    release = threading.Event()

    def hang(cls, root=Path("/"), options=None):
        release.wait(20)
        return Availability("fake", False, "no-sensor", "late")

    kind = type("Hanging", (FakeMeter,), {"probe": classmethod(hang)})
    monkeypatch.setattr(doctor, "METERS_TIMEOUT_S", 1.5)
    meter = fake_report(ask_json, monkeypatch, tree("raspberry-pi-4"), kind)
    release.set()
    assert not meter["usable"]
    assert "did not answer within 1.5 s" in meter["reason"]


def test_clock_step_is_seen():
    """The wall clock jumps by 2.5 s while one second passes: that is a step of 2.5 s."""
    wall, monotonic = iter([2e9, 2e9 + 3.5]), iter([10.0, 11.0])
    watch = ClockWatch(lambda: next(wall), lambda: next(monotonic))
    assert watch.step_s() == pytest.approx(2.5)


def test_date_before_this_program_is_not_set():
    """A board that starts in 1970 has no date."""
    assert not ClockWatch(lambda: 0.0, lambda: 0.0).is_set()
    assert ClockWatch(lambda: 1.8e9, lambda: 0.0).is_set()


def test_this_host_is_examined_without_heavy_imports():
    """The real command answers with one JSON object and imports no array, frame or tensor."""
    code = (
        "import sys; from harness.cli.doctor import main; status = main(['--json']);"
        "loaded = {name.split('.')[0] for name in sys.modules};"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib'} & loaded;"
        "print(sorted(heavy), status, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["host"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert done.stderr.startswith("[] ")


def test_words_fit_eighty_columns_and_commands_stay_whole(ask, ask_json, orin_nano):
    """Only remedies, which are there to be copied, and single words may be longer."""
    _, text, _ = ask("--root", orin_nano)
    report = ask_json("--root", orin_nano)[1]
    remedies = {fix["do"] for fix in report["fixes"]} | {m.get("fix") for m in report["meters"]}

    lines = text.splitlines()
    long = [line.strip() for line in lines if len(line) > 80]
    assert [line for line in long if " " in line and line not in remedies] == []
    assert all(fix["do"] in text for fix in report["fixes"])


def to_do(report):
    return {fix["what"]: fix["do"] for fix in report["fixes"]}


@pytest.mark.parametrize(
    ("listed", "current", "advice"),
    [
        (("15W", "7W"), "15W", None),
        (("15W", "7W"), "7W", ("power mode is 7W, not 15W", "sudo nvpmodel -m 0")),
        (("10W", "7W_AI", "7W_CPU"), "10W", None),
        (("7W", "15W", "MAXN_SUPER"), "7W", ("power mode is 7W, not MAXN_SUPER", "nvpmodel -m 2")),
        ((), "15W", ("power mode is 15W, not MAXN_SUPER", "nvpmodel -p --verbose")),
        ((), "MAXN_SUPER", None),
    ],
)
def test_mode_is_one_of_the_boards_own(
    ask_json, orin_nano, files, program, listed, current, advice
):
    """A number is advised only from this board's list; a mode that it has not is never advised."""
    heads = [f"< POWER_MODEL ID={number} NAME={name} >\n" for number, name in enumerate(listed)]
    files(orin_nano, {"etc/nvpmodel.conf": "".join(heads)})
    number = listed.index(current) if listed else 0
    program(orin_nano, "nvpmodel", {"-q": f"NV Power Mode: {current}\n{number}\n"})
    fixes = to_do(ask_json("--root", orin_nano)[1])
    found = [(what, do) for what, do in fixes.items() if "power mode" in what]
    assert len(found) == (1 if advice else 0)
    for (what, do), (said, remedy) in zip(found, [advice] if advice else [], strict=True):
        assert what.startswith(said)
        assert remedy in do


def test_cores_of_a_smaller_module(ask_json, orin_nano, files):
    """Cores are missing if the board has them and they are off, not if its module never had."""
    files(orin_nano, {"sys/devices/system/cpu/online": "0-3\n",
                      "sys/devices/system/cpu/present": "0-3\n"})  # fmt: skip
    assert not [w for w in to_do(ask_json("--root", orin_nano)[1]) if "switched on" in w]
    files(orin_nano, {"sys/devices/system/cpu/present": "0-5\n"})
    assert "4 of 6 cores are switched on" in to_do(ask_json("--root", orin_nano)[1])


LSE = "processor\t: 0\nFeatures\t: fp asimd atomics\nCPU implementer\t: 0x41\n"
NO_LSE = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"


@pytest.mark.parametrize(
    ("cpuinfo", "torch", "dies"),
    [
        (NO_LSE, "2.10.0", True),
        (NO_LSE, "2.10.0+cpu", True),
        (NO_LSE, "2.4.0", True),
        (NO_LSE, "2.4.1", False),
        (NO_LSE, "2.11.0", False),
        (LSE, "2.10.0", False),
    ],
)
def test_release_that_dies_on_old_cores(ask_json, tmp_path, files, facts, cpuinfo, torch, dies):
    """What a recorded tree cannot try is known of two releases and cores without atomics."""
    files(tmp_path, {"proc/cpuinfo": cpuinfo, "proc/device-tree/model": "Orange Pi 4\0"})
    packages = {"torch": torch, "numpy": "2.1.0", "safetensors": "0.5.0", "rich": "13.9"}
    facts(tmp_path, arch="aarch64", cores_usable=4, packages=packages)
    status, report = ask_json("--root", tmp_path)
    assert report["device"] == "arm"
    named = [what for what in to_do(report) if what.startswith(f"PyTorch {torch} dies")]
    assert bool(named) == dies
    assert status == (3 if dies else 0)


@pytest.mark.parametrize(("fault", "ready"), [("", True), ("dies on this processor", False)])
def test_what_was_tried_counts_before_what_is_known(ask_json, tree, facts, fault, ready):
    """A build of one's own that computed is fine; one that did not is named."""
    root = tree("raspberry-pi-4")
    packages = {"torch": "2.10.0" if ready else "2.13.0", "numpy": "2.1.0"}
    facts(root, arch="aarch64", cores_usable=4, packages=packages, torch_fault=fault)
    report = ask_json("--root", root)[1]
    assert report["ready"] == ready
    assert any("dies on this processor" in what for what in to_do(report)) != ready


def test_container_is_blamed_with_its_flag(ask, ask_json, tmp_path, files):
    """A masked Jetson: not ready, because of the container, and what to start it with."""
    files(tmp_path, {
        ".dockerenv": "", "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n",
        "proc/cpuinfo": NO_LSE, "sys/devices/system/cpu/online": "0-5\n",
    })  # fmt: skip
    status, report = ask_json("--root", tmp_path)
    assert (status, report["host"]["arch"], report["host"]["virtual"]) == (
        3,
        "aarch64",
        "container",
    )
    first = report["fixes"][0]
    assert "container hides the device tree" in first["what"]
    assert "--security-opt systempaths=unconfined" in first["do"]
    assert "--device" not in first["do"]


def test_tree_is_judged_by_the_tree(ask_json, tmp_path, files):
    """Nothing of this machine is taken for a tree that does not tell: no arch, no cores."""
    files(tmp_path, {"etc/hostname": "x\n"})
    host = ask_json("--root", tmp_path)[1]["host"]
    assert (host["arch"], host["cores_usable"], host["cores_online"]) == ("", 1, None)
