"""The limits of the clocks and the fan's setting, from a tree of files."""

from pathlib import Path

from devices.board_clocks import is_gpu, read_clock_limits, read_fan


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def test_limits_of_a_jetson(tmp_path) -> None:
    """Cores tell kHz, the GPU Hz; the widest span of the cores counts; other devfreq is no GPU."""
    cpu = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_{}_freq"
    write(tmp_path, {
        cpu.format(0, "min"): "729600\n", cpu.format(0, "max"): "1510400\n",
        cpu.format(4, "min"): "1113600\n", cpu.format(4, "max"): "1728000\n",
        "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
        "sys/class/devfreq/17000000.gpu/max_freq": "624750000\n",
        "sys/class/devfreq/mmc0/max_freq": "9\n",
        "sys/kernel/debug/bpmp/debug/clk/emc/rate": "2133000000\n",
    })  # fmt: skip
    assert read_clock_limits(tmp_path) == {
        "cpu_min_hz": 729_600_000, "cpu_max_hz": 1_728_000_000,
        "gpu_min_hz": 306_000_000, "gpu_max_hz": 624_750_000, "memory_hz": 2_133_000_000,
    }  # fmt: skip


def test_what_a_host_does_not_show_is_left_out(tmp_path) -> None:
    """Nothing, and text that is no number, give no clock; never a zero."""
    assert read_clock_limits(tmp_path) == {}
    write(tmp_path, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "<unsupported>"})
    assert read_clock_limits(tmp_path) == {}


def test_the_fastest_fan_counts(tmp_path) -> None:
    assert read_fan(tmp_path) is None
    write(tmp_path, {"sys/class/hwmon/hwmon0/pwm1": "80", "sys/class/hwmon/hwmon2/pwm1": "255\n"})
    assert read_fan(tmp_path) == 255


def test_names_of_gpus() -> None:
    """As the folders are called from the Nano (57000000.gpu) to Thor (gpu-gpc-0) and before."""
    assert all(map(is_gpu, ("57000000.gpu", "17000000.ga10b", "17000000.gv11b", "17000000.gp10b")))
    assert not any(map(is_gpu, ("mmc0", "15380000.nvjpg", "nvenc")))
