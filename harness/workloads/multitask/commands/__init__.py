"""Commands that are of this workload alone."""
