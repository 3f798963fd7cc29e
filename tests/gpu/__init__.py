"""Checks that need an NVIDIA GPU: `make gpu-check`, ten minutes at most."""
