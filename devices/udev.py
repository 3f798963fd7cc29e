"""Hold the udev rules that let every user read the power sensors, with how to install them."""

from __future__ import annotations

RULES_PATH = "/etc/udev/rules.d/70-energy-meters.rules"

RULES = f"""\
# Let every user read the power sensors of this computer. Install with
#   python -m harness.doctor --print-udev | sudo tee {RULES_PATH}
#   sudo udevadm control --reload
#   sudo udevadm trigger -c add -s powercap -s hwmon -s iio
# Anyone who may read energy counters finely may learn what other programs compute
# (CVE-2020-8694): do not install this where untrusted people log in.

# x86 processors (RAPL)
SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod -f a+r /sys%p/energy_uj /sys%p/max_energy_range_uj"

# Jetson, JetPack 5 to 7, and external probes: chips of the INA family
SUBSYSTEM=="hwmon", ACTION=="add", ATTR{{name}}=="ina*", RUN+="/bin/sh -c 'chmod -f a+r /sys%p/*_input /sys%p/*_label'"

# Jetson, JetPack 4
SUBSYSTEM=="iio", ACTION=="add", ATTR{{name}}=="ina3221x", RUN+="/bin/sh -c 'chmod -f a+r /sys%p/in_power* /sys%p/rail_name_*'"

# Raspberry Pi 5: vcgencmd, for members of the group video
KERNEL=="vcio", GROUP="video", MODE="0660"
"""  # noqa: E501 - a udev rule is one line
