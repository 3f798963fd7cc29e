# Python 3.6 reads this file as it stands: no annotations, nothing younger.
"""Train clients under a board's own Python, told what to do over a pipe.

The harness starts `python -c` with a few lines that read this file, and all it needs, from standard
input as text: nothing is installed on the board and nothing is left there. After that, frames go
both ways: eight bytes of length, a JSON object, and the bytes of the arrays that it lists.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import struct
import sys


class Pipe:
    """Read and write frames."""

    def __init__(self, inward, outward):
        self._inward = inward
        self._outward = outward

    def read(self):
        """Return a header and its arrays by name; None at the end."""
        import numpy as np

        start = self._inward.read(8)
        if len(start) < 8:
            return None
        header = json.loads(self._inward.read(struct.unpack(">Q", start)[0]).decode())
        arrays = {}
        for name, kind, shape in header.get("arrays", ()):
            flat = np.empty(shape, np.dtype(kind))
            data = self._inward.read(flat.nbytes)
            arrays[name] = np.frombuffer(bytearray(data), flat.dtype).reshape(shape)
        return header, arrays

    def write(self, header, arrays=None):
        """Send a header and arrays by name."""
        import numpy as np

        arrays = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
        listed = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
        text = json.dumps(dict(header, arrays=listed)).encode()
        self._outward.write(struct.pack(">Q", len(text)) + text)
        for array in arrays.values():
            self._outward.write(array.tobytes())
        self._outward.flush()


class SentSources:
    """Import modules from the text that was sent, packages among them."""

    def __init__(self, sources):
        self._sources = sources

    def find_spec(self, name, path=None, target=None):
        """Return how to load a module that was sent; None for any other."""
        inside = any(other.startswith(name + ".") for other in self._sources)
        if name not in self._sources and not inside:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=inside)

    def create_module(self, spec):
        """Leave it to the import system."""

    def exec_module(self, module):
        """Run the text of a module."""
        source = self._sources.get(module.__name__, "")
        module.__file__ = "<sent>/{}.py".format(module.__name__)  # PyTorch asks where classes are
        exec(compile(source, module.__name__, "exec"), module.__dict__)


class Told:
    """Tell the harness of phases and work; it notes them by its own clock."""

    def __init__(self, pipe, settle):
        self._pipe = pipe
        self._settle = settle
        self._work = None

    @contextlib.contextmanager
    def phase(self, name, round_index=None, client=None):
        """Mark a phase within the training of a client."""
        self.flush()
        self._settle()
        self._pipe.write({"enter": name})
        try:
            yield
        finally:
            self.flush()
            self._settle()
            self._pipe.write({"leave": name})

    def work(self, done):
        """Add work to the phase that is open."""
        self._work = done if self._work is None else self._work + done

    def flush(self):
        """Send the work counted since the last phase began or ended."""
        if self._work is not None:
            counted = self._work
            self._work = None
            self._pipe.write({
                "work": [dict(counted.forwards), dict(counted.trained), counted.bytes_moved]
            })  # fmt: skip


def main(sources):
    """Serve until standard input ends."""
    outward = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not come between frames
    pipe = Pipe(sys.stdin.buffer, outward)
    sys.meta_path.insert(0, SentSources(sources))
    try:
        opening, _ = pipe.read()
        accelerator = _accelerator(opening["accelerator"])
        clients, settle = _opened(opening, accelerator)
        pipe.write(_versions(accelerator))
    except Exception as error:
        outward.write(_plain_frame({"failed": _words(error)}))
        outward.flush()
        return
    told = Told(pipe, settle)
    while True:
        frame = pipe.read()
        if frame is None:
            return
        header, arrays = frame
        try:
            answer, tensors = clients.serve(header, arrays, told)
            told.flush()
            settle()  # a GPU tells of a fault when it is waited for
        except Exception as error:
            pipe.write({"failed": _words(error)})
            continue
        pipe.write(dict(answer, peak_memory_bytes=_peak_bytes()), tensors)


def _accelerator(asked):
    """Return what trains; `auto` takes a GPU that computes."""
    import torch

    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return "cpu"
    try:
        torch.ones(2, device="cuda").sum().item()  # a driver may be there, and no code for this GPU
    except RuntimeError:
        if asked == "cuda":
            raise
        return "cpu"
    return "cuda"


def _opened(opening, accelerator):
    """Return the workload's clients and what waits for the accelerator."""
    import torch

    importlib.import_module("board_modern").fit_torch()
    torch.set_num_threads(opening["threads"])
    if accelerator == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    settle = torch.cuda.synchronize if accelerator == "cuda" else _nothing
    module = importlib.import_module(opening["entry"])
    return module.open_clients(opening["facts"], torch.device(accelerator)), settle


def _nothing():
    pass


def _versions(accelerator):
    import platform

    import numpy as np
    import torch

    facts = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "name": accelerator,
    }
    if accelerator == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(0)
        facts["cuda"] = torch.version.cuda
        facts["cudnn"] = torch.backends.cudnn.version()
    return facts


def _peak_bytes():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _words(error):
    return "{}: {}".format(type(error).__name__, str(error).strip() or "no reason given")


def _plain_frame(header):
    """Return a frame without numpy, which may be what is missing."""
    text = json.dumps(dict(header, arrays=[])).encode()
    return struct.pack(">Q", len(text)) + text
