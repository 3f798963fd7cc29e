"""Let clients train under the Python and PyTorch that a board's vendor supplies, however old."""
