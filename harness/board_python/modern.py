# Python 3.6 reads this file as it stands: no annotations, nothing younger.
"""Supply what Python 3.6 to 3.9 and PyTorch 1.10 to 2.5 lack of what networks and training use."""

import functools
import inspect
import operator
from contextlib import contextmanager

import torch


class _Nothing(type):
    """Be a class that may be subscripted and called as a type variable is."""

    def __getitem__(cls, _):
        return cls


class Protocol(metaclass=_Nothing):
    """Stand for `typing.Protocol`."""


class Generic(metaclass=_Nothing):
    """Stand for `typing.Generic`."""


class _Words:
    """Stand for `typing.Literal`, whose words `get_args` returns."""

    def __getitem__(self, words):
        return words if isinstance(words, tuple) else (words,)


Any = ClassVar = NDArray = Self = TypeAlias = Protocol
Literal = _Words()
TYPE_CHECKING = False


def get_args(words):
    """Stand for `typing.get_args` of a `Literal`."""
    return words


def TypeVar(name, *_, **__):
    """Stand for `typing.TypeVar`."""
    return name


def cast(_, value):
    """Stand for `typing.cast`."""
    return value


@contextmanager
def nullcontext(value=None):
    """Do nothing, as `contextlib.nullcontext` of Python 3.7."""
    yield value


def prod(values, start=1):
    """Multiply, as `math.prod` of Python 3.8."""
    return functools.reduce(operator.mul, values, start)


def cache(function):
    """Remember every result, as `functools.cache` of Python 3.9."""
    return functools.lru_cache(maxsize=None)(function)


class cached_property:
    """Compute once, as `functools.cached_property` of Python 3.8."""

    def __init__(self, function):
        self._function = function

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        value = instance.__dict__[self._function.__name__] = self._function(instance)
        return value


def removeprefix(text, prefix):
    """Return the text without a beginning, as `str.removeprefix` of Python 3.9."""
    return text[len(prefix) :] if text.startswith(prefix) else text


def removesuffix(text, suffix):
    """Return the text without an ending, as `str.removesuffix` of Python 3.9."""
    return text[: -len(suffix)] if suffix and text.endswith(suffix) else text


def functional_call(module, tensors, args):
    """Call a module with other tensors in place of its own, as `torch.func.functional_call`.

    Gradients flow into those given, so that they are put where the parameters were and no copy is
    made.
    """
    places = [_place(module, name) for name in tensors]
    before = [place[leaf] for place, leaf in places]
    try:
        for (place, leaf), tensor in zip(places, tensors.values()):
            place[leaf] = tensor
        return module(*(args if isinstance(args, tuple) else (args,)))
    finally:
        for (place, leaf), tensor in zip(places, before):
            place[leaf] = tensor


def _place(module, name):
    path = name.split(".")
    for part in path[:-1]:
        module = getattr(module, part)
    leaf = path[-1]
    return (module._parameters if leaf in module._parameters else module._buffers), leaf


def fit_torch():
    """Let an old PyTorch take the calls of a young one; do nothing where it takes them anyway.

    Only options that change no number are swallowed; any other is refused by PyTorch itself.
    """
    if not hasattr(torch, "_foreach_copy_"):
        torch._foreach_copy_ = _foreach_copy
    if "recurse" not in inspect.signature(torch.nn.Module._apply).parameters:
        torch.nn.Module._apply = _without_recurse(torch.nn.Module._apply)
    if "fused" not in inspect.signature(torch.optim.SGD.__init__).parameters:
        torch.optim.SGD = _PlainSGD
    norm = torch.nn.BatchNorm1d(1)
    before = norm.num_batches_tracked
    norm(torch.zeros(2, 1))
    if norm.num_batches_tracked is not before:
        torch.nn.modules.batchnorm._BatchNorm.__setattr__ = _counted_in_place


def _counted_in_place(self, name, value):
    """Keep the tensor that counts batches, whose memory lies in a block with all others."""
    own = self.__dict__.get("_buffers", {}).get("num_batches_tracked")
    if name == "num_batches_tracked" and own is not None and value is not None:
        own.copy_(value)
    else:
        torch.nn.Module.__setattr__(self, name, value)


def _foreach_copy(targets, sources):
    for target, source in zip(targets, sources):
        target.copy_(source)


def _without_recurse(apply):
    def applied(self, fn, recurse=True):
        if not recurse:
            raise NotImplementedError("this PyTorch applies to all parts of a module")
        return apply(self, fn)

    return applied


class _PlainSGD(torch.optim.SGD):
    """Take the words for how steps are executed where there are fewer ways."""

    def __init__(self, params, foreach=False, fused=False, **settings):
        known = "foreach" in inspect.signature(super().__init__).parameters
        if fused or (foreach and not known):
            word = "fused" if fused else "foreach"
            raise ValueError(f"PyTorch {torch.__version__} has no {word} SGD")
        super().__init__(params, **dict(settings, foreach=foreach) if known else settings)
