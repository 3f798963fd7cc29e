"""Find the NVIDIA GPUs that a run may use, and what each of them can tell about its power.

A GPU is named by its UUID or PCI bus id; NVML's own index is not CUDA's. Which GPUs count follows
CUDA_VISIBLE_DEVICES as CUDA reads it: a list that ends at its first invalid entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from devices.errors import DeviceError
from devices.meters.base import Rejected
from devices.meters.packages import Package

PACKAGE = Package("pynvml", "nvidia-ml-py", "pip install nvidia-ml-py")
"""NVIDIA's Python binding of NVML."""

FOREIGN_FIX = "pip uninstall -y pynvml nvidia-ml-py3 && pip install --force-reinstall nvidia-ml-py"
ORDER_FIX = "export CUDA_DEVICE_ORDER=PCI_BUS_ID, or name GPUs by UUID: nvidia-smi -L"

LEAST_W = 0.5
"""Less than any GPU draws that is awake, and reading it wakes it."""

UNKNOWN_LIMIT_W = 1500.0
"""Above the board power of every GPU there is; used where the limit cannot be asked."""

FIRST_AVERAGING_ARCHITECTURE = 7
"""NVML_DEVICE_ARCH_AMPERE: from here on power is the mean over 1 s (NVML header; GA100 is not)."""


@dataclass(frozen=True)
class Gpu:
    """Hold what NVML says about one GPU.

    Attributes:
        handle: NVML's handle.
        index: NVML's number of it, lost ones counted.
        uuid: The GPU's own name, `GPU-…`.
        bus_id: Where it is plugged in, such as `00000000:3B:00.0`.
        model: Product name.
        has_counter: True if the energy counter answers.
        has_power: True if sampled power answers.
        refusal: What NVML said if neither does.
        limit_w: Enforced power limit; None if it is not told.
        averages: True if sampled power is, or may be, the mean over a second.
        split: True if the GPU is divided into instances (MIG).
    """

    handle: object
    index: int
    uuid: str
    bus_id: str
    model: str
    has_counter: bool
    has_power: bool
    refusal: str
    limit_w: float | None
    averages: bool
    split: bool


def check_module(module: ModuleType) -> ModuleType:
    """Refuse a module that is called pynvml but is not NVIDIA's.

    Raises:
        DeviceError: A part that NVIDIA's binding has is missing.
    """
    for name in ("_nvmlGetFunctionPointer", "NVMLError", "nvmlDeviceGetTotalEnergyConsumption"):
        if not hasattr(module, name):
            reason = f"the installed module pynvml is not NVIDIA's: it has no {name}"
            raise DeviceError(reason, FOREIGN_FIX)
    return module


def find_gpus(nvml: ModuleType) -> tuple[list[Gpu], list[Rejected]]:
    """Describe all GPUs, each by asking and not by its name.

    One that has fallen off the bus takes only itself away; nothing can run on it either.

    Returns:
        The GPUs that answer, and those that are lost, with what NVML says of them.

    Raises:
        DeviceError: NVML cannot count them, or none of several answers.
    """
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        raise DeviceError(f"the GPUs cannot be listed: {error}", "nvidia-smi -L") from error
    found = [_find_gpu(nvml, index) for index in range(count)]
    gpus = [gpu for gpu in found if isinstance(gpu, Gpu)]
    lost = [gpu for gpu in found if isinstance(gpu, Rejected)]
    if lost and not gpus:
        said = "; ".join(f"{gpu.name}: {gpu.reason}" for gpu in lost)
        raise DeviceError(f"no GPU answers: {said}", "nvidia-smi -L; a lost GPU needs a reboot")
    return gpus, lost


def _find_gpu(nvml: ModuleType, index: int) -> Gpu | Rejected:
    """Describe one GPU, or say why it is lost.

    Some drivers still hand out handle and name of a lost GPU, and fail only when it is asked.
    """
    try:
        gpu = _describe(nvml, nvml.nvmlDeviceGetHandleByIndex(index), index)
    except nvml.NVMLError as error:
        return Rejected(f"GPU {index}", f"it does not answer: {error}")
    if not gpu.has_counter and not gpu.has_power and is_lost(gpu.refusal):
        return Rejected(gpu.bus_id, f"it does not answer: {gpu.refusal}")
    return gpu


def is_lost(refusal: str) -> bool:
    """Say whether NVML's words are those of a GPU that has fallen off the bus."""
    return "lost" in refusal.lower() or refusal == "Unknown Error"


def _describe(nvml: ModuleType, handle: object, index: int) -> Gpu:
    counter, refusal = query(nvml, "nvmlDeviceGetTotalEnergyConsumption", handle)
    power, power_refusal = query(nvml, "nvmlDeviceGetPowerUsage", handle)
    limit, _ = query(nvml, "nvmlDeviceGetEnforcedPowerLimit", handle)
    if not number(limit):
        limit, _ = query(nvml, "nvmlDeviceGetPowerManagementDefaultLimit", handle)
    architecture, _ = query(nvml, "nvmlDeviceGetArchitecture", handle)
    mig, _ = query(nvml, "nvmlDeviceGetMigMode", handle)
    instant = isinstance(architecture, int) and architecture < FIRST_AVERAGING_ARCHITECTURE
    return Gpu(
        handle=handle,
        index=index,
        uuid=as_text(nvml.nvmlDeviceGetUUID(handle)),
        bus_id=as_text(nvml.nvmlDeviceGetPciInfo(handle).busId),
        model=as_text(nvml.nvmlDeviceGetName(handle)),
        has_counter=number(counter) is not None,
        has_power=bool(number(power)),
        refusal=refusal or power_refusal,
        limit_w=(number(limit) or 0.0) * 1e-3 or None,
        averages=not instant,
        split=isinstance(mig, list | tuple) and len(mig) > 0 and mig[0] == 1,
    )


def query(nvml: ModuleType, function: str, handle: object, *more: object) -> tuple[object, str]:
    """Call one query; return its answer and "", or None and what NVML said."""
    call = getattr(nvml, function, None)
    if call is None:
        return None, f"this binding has no {function}"
    try:
        return call(handle, *more), ""
    except nvml.NVMLError as error:
        return None, str(error)


def number(value: object) -> float | None:
    """Return a count of NVML's; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        return None
    return float(value)


def as_text(value: object) -> str:
    """Return text; older bindings hand out bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def choose_gpus(gpus: list[Gpu], option: str, environment: Mapping[str, str]) -> list[Gpu]:
    """Return the GPUs that count.

    Args:
        gpus: All GPUs that answer in NVML's order, which is the order of PCI bus ids.
        option: UUIDs or PCI bus ids joined by +; `all`; empty to follow CUDA_VISIBLE_DEVICES.
        environment: Environment variables.

    Raises:
        DeviceError: A named GPU does not exist, none is left, or the order is ambiguous.
    """
    if option == "all":
        return gpus
    if option:
        named = [_by_name(gpus, name) for name in option.split("+")]
        # by UUID and by bus id, or by two beginnings of one UUID, it would be counted twice
        return list({gpu.bus_id: gpu for gpu in named}.values())
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return gpus
    chosen = _visible(gpus, visible, environment.get("CUDA_DEVICE_ORDER", ""))
    if not chosen:
        reason = f"CUDA_VISIBLE_DEVICES={visible} shows no GPU"
        raise DeviceError(reason, "unset CUDA_VISIBLE_DEVICES, or nvml:gpu=UUID")
    return chosen


def _by_name(gpus: list[Gpu], name: str) -> Gpu:
    """Find a GPU by its UUID, an unambiguous beginning of it, or its PCI bus id."""
    found = [gpu for gpu in gpus if _matches_uuid(gpu, name) or same_bus(gpu.bus_id, name)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{gpu.uuid} ({gpu.bus_id}, {gpu.model})" for gpu in gpus)
    many = "several GPUs are" if found else "no GPU is"
    raise DeviceError(f"{many} called {name!r}", f"GPUs here: {known or 'none'}")


def _matches_uuid(gpu: Gpu, name: str) -> bool:
    return name.lower().startswith("gpu-") and gpu.uuid.lower().startswith(name.lower())


def same_bus(left: str, right: str) -> bool:
    """Compare PCI bus ids; the domain is written with 4 or 8 digits, or left out if it is 0."""
    return _bus_parts(left) is not None and _bus_parts(left) == _bus_parts(right)


def _bus_parts(text: str) -> tuple[int, ...] | None:
    pattern = r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])"
    found = re.fullmatch(pattern, text)
    return tuple(int(part or "0", 16) for part in found.groups()) if found else None


def _visible(gpus: list[Gpu], visible: str, order: str) -> list[Gpu]:
    """Read the list as CUDA does."""
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.startswith("MIG-"):
            reason = f"{entry} is a part of a GPU: its power is not told apart from the rest"
            raise DeviceError(reason, "nvml:gpu=UUID measures the whole GPU")
        if re.fullmatch(r"[0-9]{1,4}", entry) and any(g.index >= int(entry) for g in gpus):
            _need_known_order(gpus, order)
            gpu = _by_number(gpus, int(entry))
        elif entry.lower().startswith("gpu-") and any(_matches_uuid(gpu, entry) for gpu in gpus):
            gpu = _by_name(gpus, entry)
        else:
            break
        if gpu not in chosen:
            chosen.append(gpu)
    return chosen


def _by_number(gpus: list[Gpu], wanted: int) -> Gpu:
    """Find a GPU by its number; behind a lost one, CUDA's numbers may have moved up.

    Raises:
        DeviceError: A GPU of that number or before it is lost.
    """
    if wanted < len(gpus) and gpus[wanted].index == wanted:
        return gpus[wanted]
    reason = f"a GPU before or at number {wanted} is lost, so numbers do not tell which is meant"
    raise DeviceError(reason, "name GPUs by UUID in CUDA_VISIBLE_DEVICES: nvidia-smi -L")


def _need_known_order(gpus: list[Gpu], order: str) -> None:
    """Refuse numbers where CUDA may count differently: by speed, unless told otherwise."""
    if order != "PCI_BUS_ID" and len({gpu.model for gpu in gpus}) > 1:
        raise DeviceError(
            "CUDA_VISIBLE_DEVICES counts GPUs in CUDA's order, which is not NVML's here", ORDER_FIX
        )
