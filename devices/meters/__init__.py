"""Read power and energy sensors; one file per sensor family, named as the meter is typed.

Where a family needs more than one file, the second begins with its name (`nvml_devices`). Shared
are `base` (what a meter is), `registry` (all meters by name), `sysfs` (numbers in kernel files),
`powercap` (the zones of x86 counters), `board_rails` (which rails of a board add up) and
`packages` (imports that only one meter needs).
"""
