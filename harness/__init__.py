"""Run federated multi-task training on the device at hand and account for time, joules and loss."""

from harness.core.own_packages import keep_own_packages

keep_own_packages()
