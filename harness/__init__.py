"""Run federated multi-task training on the device at hand and account for time, joules and loss."""
