"""Commands of the workload `lora`."""
