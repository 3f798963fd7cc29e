"""What is wrong with a host now is said before anything is measured, each with a way out."""

import os

import pytest

from devices.card_state import CardState
from harness.measurement.host_look import LOOK_S, HostLook

HZ = os.sysconf("SC_CLK_TCK")


class Tree:
    """Be a host of two cores whose clock goes on while somebody sleeps."""

    def __init__(self, root):
        self.root = root
        self.now_s = 10.0
        self.busy_s = self.stolen_s = 0.0
        self.programs = {}
        self.put("proc/self/stat", self.stat(1, "own", 0.0))
        self.put("sys/devices/system/cpu/online", "0-1\n")
        self.put("sys/devices/system/cpu/present", "0-1\n")
        self.cores = 0.0

    def put(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def stat(self, number, name, used_s):
        fields = [0] * 50
        fields[11] = round(used_s * HZ)
        return f"{number} ({name}) R {' '.join(map(str, fields[1:]))}\n"

    def write(self):
        ticks = [round(self.busy_s * HZ), 0, 0, 0, 0, 0, 0, round(self.stolen_s * HZ), 0, 0]
        self.put("proc/stat", f"cpu  {' '.join(map(str, ticks))}\n")
        for number, (name, share) in self.programs.items():
            self.put(f"proc/{number}/stat", self.stat(number, name, share * self.now_s))

    def sleep(self, seconds):
        self.now_s += seconds
        self.busy_s += seconds * self.cores
        self.stolen_s += seconds * self.stolen
        self.write()

    stolen = 0.0
    cards = ()

    def troubles(self):
        self.write()
        look = HostLook(self.root, lambda: self.now_s, self.sleep, lambda: self.cards)
        return [str(trouble) for trouble in look.troubles()]


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_a_quiet_host_needs_no_word(tree):
    tree.cores = 0.1
    assert tree.troubles() == []
    assert tree.now_s == pytest.approx(10.0 + LOOK_S)


def test_busy_programs_are_named(tree):
    tree.cores = 1.4
    tree.programs = {7: ("cc1plus", 1.0), 8: ("a) b", 0.4), 9: ("sleeper", 0.0)}
    (text,) = tree.troubles()
    assert text.startswith("Other programs keep 1.4 of 2 cores busy (cc1plus 1.0, a) b 0.4). Stop")


def test_stolen_time(tree):
    tree.stolen = 0.05
    (text,) = tree.troubles()
    assert text.startswith("The hypervisor gives 5 % of a core to other machines. Use a host")


@pytest.mark.parametrize(
    ("bits", "words"),
    [("1", ["under-voltage. Use a stronger supply"]), ("4", ["throttled. Cool the board"]),
     ("50000", [])],
)  # fmt: skip
def test_what_slows_a_board_now_counts_and_what_did_so_before_does_not(tree, bits, words):
    tree.put("sys/devices/platform/soc/soc:firmware/get_throttled", bits)
    found = tree.troubles()
    assert len(found) == len(words)
    for text, word in zip(found, words, strict=True):
        assert word in text


def test_a_battery_that_feeds_the_host(tree):
    supply = "sys/class/power_supply"
    tree.put(f"{supply}/CMB1/type", "Battery\n")
    tree.put(f"{supply}/CMB1/status", "Discharging\n")
    (text,) = tree.troubles()
    assert text.startswith("The host runs on its battery")
    tree.put(f"{supply}/AC/type", "Mains\n")
    tree.put(f"{supply}/AC/online", "1\n")
    assert tree.troubles() == []


def test_a_clock_that_may_not_reach_its_height(tree):
    for core, allowed in ((0, 1_200_000), (1, 2_400_000)):
        folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        tree.put(f"{folder}/scaling_max_freq", f"{allowed}\n")
        tree.put(f"{folder}/cpuinfo_max_freq", "2400000\n")
    (text,) = tree.troubles()
    assert text.startswith("The clock of 1 core is limited to 1.20 of 2.40 GHz")
    assert "cpupower frequency-set -u 2400MHz" in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"reasons": ("hw-thermal-slowdown",)}, "hw thermal slowdown. Let the card cool down."),
        ({"reasons": ("power-brake",)}, "power brake. Use a stronger supply."),
        ({"memory_errors": 1}, "1 memory error that could not be corrected. Reset it"),
        ({"remap_failed": True}, "could not be taken out of use. Have the card replaced"),
    ],
)
def test_a_card_that_is_not_well(tree, state, words):
    tree.cards = (CardState(model="RTX 4090", **state),)
    (trouble,) = tree.troubles()
    assert trouble.startswith("RTX 4090 ")
    assert words in trouble


def test_a_card_at_its_power_limit_is_as_it_should_be(tree):
    tree.cards = (CardState(model="RTX 4090", reasons=("power-cap",), memory_errors=0),)
    assert tree.troubles() == []
