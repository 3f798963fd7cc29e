"""Stand in for NVIDIA's pynvml: each GPU holds the answer to every query, or what it raises."""

import types


class FakeNvmlError(Exception):
    """Stand in for NVMLError."""


NOT_SUPPORTED = FakeNvmlError("Not Supported")
GONE = FakeNvmlError("GPU is lost")


class FakeGpu:
    """Hold the answers of one GPU; an exception among them is raised."""

    def __init__(self, index, **answers):
        self.answers = {
            "UUID": f"GPU-{index}a2b3c4d-0000-1111-2222-333344445555",
            "PciInfo": types.SimpleNamespace(busId=f"00000000:{index + 1:02X}:00.0"),
            "Name": "NVIDIA A100",
            "TotalEnergyConsumption": 5_000_000,
            "PowerUsage": 60_000,
            "EnforcedPowerLimit": 400_000,
            "Architecture": 7,
            "MigMode": NOT_SUPPORTED,
            "CurrentClocksEventReasons": 0,
            "ViolationStatus": {0: 0, 1: 0},
            "Temperature": 45,
            "TemperatureThreshold": {0: 95, 1: 92},
            "TotalEccErrors": 0,
            "RemappedRows": (0, 0, 0, 0),
            "UtilizationRates": types.SimpleNamespace(gpu=50, memory=10),
            **answers,
        }

    def answer(self, name, *more):
        """Return or raise an answer; by what is asked for, where there are several."""
        value = self.answers[name]
        if isinstance(value, dict):
            value = value[more[0]]
            if name == "ViolationStatus":
                value = types.SimpleNamespace(violationTime=value)
        if isinstance(value, Exception):
            raise value
        return value


def make_nvml(*gpus, start=None):
    """Build a module like NVIDIA's pynvml, with the parts the meter may use."""
    module = types.ModuleType("pynvml")
    module.NVMLError = FakeNvmlError
    module._nvmlGetFunctionPointer = lambda name: name
    module.started = 0

    def init():
        if start is not None:
            raise start
        module.started += 1

    def shutdown():
        module.started -= 1

    module.nvmlInit = init
    module.nvmlShutdown = shutdown
    module.nvmlDeviceGetCount = lambda: len(gpus)
    module.nvmlDeviceGetHandleByIndex = lambda index: gpus[index]
    for name in FakeGpu(0).answers:
        setattr(module, f"nvmlDeviceGet{name}", lambda gpu, *a, name=name: gpu.answer(name, *a))
    _add_events(module)
    return module


def _add_events(module):
    """Let `module.xids` be the errors that the driver has yet to report."""
    module.xids = []
    module.registered = []
    module.nvmlEventSetCreate = lambda: "events"
    module.nvmlEventSetFree = lambda events: None
    module.nvmlDeviceRegisterEvents = lambda gpu, kinds, events: module.registered.append(kinds)

    def wait(events, timeout_ms):
        if not module.xids:
            raise FakeNvmlError("Timeout")
        return types.SimpleNamespace(eventData=module.xids.pop(0))

    module.nvmlEventSetWait = wait
