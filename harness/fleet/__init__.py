"""Run the same jobs over many real devices: a server, a resident worker per device, Flower between.

Flower is imported in `harness/fleet/app` alone. Its two programs only carry frames: on the
server between Flower and the run, on a device between Flower and the worker, which holds torch, the
data, the model and the meter.
"""
