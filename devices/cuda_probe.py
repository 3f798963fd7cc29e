"""Find out whether CUDA computes here, in a process of its own.

That a driver, a card and a PyTorch with CUDA are there shows nothing: code for this compute
capability may be missing, the driver too old, the card lost. Only a sum does, and some faults end
the process they occur in. The program is also fit for the Python 3.6 of JetPack 4.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from devices.accelerator import GPU, Accelerator

LIMIT_S = 120.0
"""The first kernel on a Jetson may take a minute: libraries are read from a card, code is built."""

LONGEST_WORDS = 160

TOLERANCE = 1e-4
"""Largest difference from the processor, as a share of the largest value: fp32 without TF32."""

STARTS = (
    (r"driver.*(too old|insufficient)|insufficient.*driver",
     "the NVIDIA driver is too old for CUDA {cuda}",
     "Update the driver, or install a PyTorch built for an older CUDA."),
    (r"forward compatibility|unsupported display driver|(driver|library) version mismatch",
     "the parts of the NVIDIA driver do not fit each other or CUDA {cuda}",
     "Restart the computer, as after an update of the driver; in a container take an image whose"
     " CUDA the host's driver has."),
    (r"not yet initialized", "the GPUs of this computer are not ready",
     "Start what connects them: sudo systemctl start nvidia-fabricmanager."),
    (r"no NVIDIA driver|driver.*not.*(found|installed|loaded)", "no NVIDIA driver is loaded",
     "Install the driver and restart; in a container give --gpus all (docker) or --runtime nvidia"
     " (Jetson)."),
)  # fmt: skip
"""What CUDA says when it does not start, what that means, and what to do (CUDA Runtime API, error
codes: 35, 803 and 804, 802)."""

PROGRAM = r"""
import json, os, sys
told = {"visible": os.environ.get("CUDA_VISIBLE_DEVICES")}
def end(**more):
    told.update(more)
    sys.stdout.write("\n" + json.dumps(told) + "\n")
    sys.exit(0)
try:
    import torch
except Exception as error:
    end(fault="no-torch", error=str(error))
told["torch"] = str(torch.__version__)
told["cuda"] = torch.version.cuda
told["hip"] = getattr(torch.version, "hip", None)
backends = getattr(torch.backends, "mps", None)
told["mps"] = bool(backends is not None and backends.is_available())
if told["cuda"] is None:
    end(fault="no-cuda-build")
try:
    torch.cuda.init()
    count = torch.cuda.device_count()
except Exception as error:
    end(fault="no-start", error=str(error))
if not count:
    end(fault="no-gpu")
about = torch.cuda.get_device_properties(0)
told.update(
    name=about.name, memory_bytes=about.total_memory, count=count,
    capability="%d.%d" % (about.major, about.minor), uuid=str(getattr(about, "uuid", "")),
    integrated=bool(getattr(about, "is_integrated", False)),
    built_for=list(getattr(torch.cuda, "get_arch_list", list)()),
)
try:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(0)
    images, layer = torch.randn(2, 3, 16, 16), torch.nn.Conv2d(3, 8, 3)
    def gradients(device):
        moved = layer.to(device)
        moved.zero_grad()
        out = moved(images.to(device))
        (out * out).mean().backward()
        return [t.detach().cpu() for t in (out, moved.weight.grad, moved.bias.grad)]
    here, there = gradients("cpu"), gradients("cuda")
    torch.cuda.synchronize()
    told["miss"] = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(here, there))
except Exception as error:
    end(fault="no-compute", error=str(error))
end(fault="")
"""
"""A convolution forward and backward on both, compared; its last line is one JSON object."""


@dataclass(frozen=True)
class CudaProbe:
    """Hold what the probe found.

    Attributes:
        fault: Why no GPU can train, in words; empty if one computed rightly.
        fix: What to do about it; empty if there is nothing to do.
        gpu: The GPU that computed; None if none did.
    """

    fault: str = ""
    fix: str = ""
    gpu: Accelerator | None = None


Runner = Callable[[Sequence[str], float], "subprocess.CompletedProcess[str]"]


def run(words: Sequence[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program without input and return how it ended."""
    return subprocess.run(
        list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        timeout=limit_s, check=False,
    )  # fmt: skip


def probe_cuda(python: str = sys.executable, runner: Runner = run) -> CudaProbe:
    """Let the PyTorch of a Python compute on the first GPU that CUDA shows."""
    try:
        done = runner([python, "-c", PROGRAM], LIMIT_S)
    except subprocess.TimeoutExpired:
        return CudaProbe(
            f"a small convolution was not done after {LIMIT_S:.0f} s",
            "The GPU may hang: restart the computer, then look at its kernel's log (dmesg).",
        )
    except OSError as error:
        return CudaProbe(f"{python} cannot be started: {error}", "")
    told = _told(done.stdout)
    if told is None:
        return CudaProbe(
            f"the process that tried it ended with status {done.returncode}{_last(done.stderr)}",
            "Update the driver, or install the PyTorch build that fits it.",
        )
    return _judged(told)


@lru_cache(maxsize=1)
def cuda_here() -> CudaProbe:
    """Return what a probe of this Python finds; asked once in a process."""
    return probe_cuda()


def _told(text: str) -> dict[str, Any] | None:
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and "fault" in found else None


def _judged(told: Mapping[str, Any]) -> CudaProbe:
    """Put what the program told into words and a remedy."""
    kind, error = str(told["fault"]), _line(told.get("error"))
    version = f"PyTorch {told.get('torch', '')}"
    if kind == "no-torch":
        return CudaProbe(f"PyTorch cannot be imported: {error}", "Install PyTorch.")
    if kind == "no-cuda-build":
        return _without_cuda(told, version)
    if kind in ("no-start", "no-gpu"):
        return _without_gpu(told, error)
    if kind == "no-compute":
        return _without_kernels(told, version, error)
    miss = float(told.get("miss", float("nan")))
    if not miss <= TOLERANCE:  # NaN too
        return CudaProbe(
            f"{told['name']} computes a convolution wrongly: off by {miss:.2g} of the largest"
            f" value (at most {TOLERANCE:g} is rounding)",
            "Do not train on it: look for other programs that overclock it, then for a fault.",
        )
    return CudaProbe(gpu=_gpu(told))


def _without_cuda(told: Mapping[str, Any], version: str) -> CudaProbe:
    if told.get("hip"):
        return CudaProbe(
            f"{version} is built for AMD GPUs (ROCm {told['hip']}), which are not supported",
            "Nothing: the processor trains. AMD GPUs can be measured from outside, with a plug.",
        )
    if told.get("mps"):
        return CudaProbe(
            f"{version} offers Apple's GPU (MPS), which is not supported",
            "Nothing: the processor trains.",
        )
    return CudaProbe(
        f"{version} is built for the processor alone",
        "Install a PyTorch with CUDA: the command is on pytorch.org; on a Jetson NVIDIA's own"
        " (python -m harness.doctor names it).",
    )


def _without_gpu(told: Mapping[str, Any], error: str) -> CudaProbe:
    visible = told.get("visible")
    if visible is not None and str(visible).strip() in ("", "-1", "NoDevFiles"):
        return CudaProbe(
            f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU",
            "unset CUDA_VISIBLE_DEVICES",
        )
    if told.get("hip"):
        return _without_cuda(told, f"PyTorch {told.get('torch', '')}")
    for pattern, words, fix in STARTS:
        if re.search(pattern, error, re.IGNORECASE):
            return CudaProbe(f"{words.format(cuda=told.get('cuda'))}: {error}", fix)
    found = f"CUDA {told.get('cuda')} finds no GPU that it can use"
    found += f": {error}" if error else ""
    if visible is not None:
        return CudaProbe(
            f"{found} with CUDA_VISIBLE_DEVICES={str(visible)[:LONGEST_WORDS]!r}",
            "Name one that nvidia-smi -L shows, or unset CUDA_VISIBLE_DEVICES.",
        )
    return CudaProbe(
        found,
        "nvidia-smi (on a Jetson tegrastats) shows whether the driver sees one; in a container"
        " give --gpus all (docker) or --runtime nvidia (Jetson).",
    )


def _without_kernels(told: Mapping[str, Any], version: str, error: str) -> CudaProbe:
    name = str(told.get("name"))
    lacks = "no kernel image" in error or "invalid device function" in error
    if lacks or "not compatible" in error:
        built = ", ".join(map(str, told.get("built_for") or ())) or "other GPUs"
        return CudaProbe(
            f"{version} has no code for {name} (compute capability {told.get('capability')};"
            f" it is built for {built})",
            "Install a PyTorch built for this GPU: an older release for an old card, on a Jetson"
            " NVIDIA's own.",
        )
    if "out of memory" in error:
        return CudaProbe(
            f"the memory of {name} is taken by other programs: {error}",
            "nvidia-smi shows which; end them, or choose another GPU with CUDA_VISIBLE_DEVICES.",
        )
    return CudaProbe(f"{name} does not compute: {error}", "Look at nvidia-smi and dmesg.")


def _gpu(told: Mapping[str, Any]) -> Accelerator:
    uuid = str(told.get("uuid") or "")
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", uuid):
        uuid = f"GPU-{uuid}"  # as NVML writes it
    memory = told.get("memory_bytes")
    return Accelerator(
        kind=GPU,
        name=str(told.get("name") or ""),
        index=0,
        uuid=uuid,
        memory_bytes=int(memory) if memory else None,
        shared_memory=bool(told.get("integrated")),
        capability=str(told.get("capability") or ""),
        cuda=str(told.get("cuda") or ""),
        torch=str(told.get("torch") or ""),
    )


def _line(text: object) -> str:
    """Return the first line of an error, printable and not too long.

    Of PyTorch's long words about asking for the number of GPUs only the end tells: CUDA's own.
    """
    first = next((line.strip() for line in str(text or "").splitlines() if line.strip()), "")
    first = re.sub(r"^Unexpected error from cuda\w+\(\)\..*?(?=Error \d+: )", "", first)
    return re.sub(r"[^ -~]", "?", first)[:LONGEST_WORDS]


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return f": {_line(lines[-1])}" if lines else ""
