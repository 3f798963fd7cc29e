"""Python 3.6 reads what is rewritten for it, and it does the same."""

import ast
import sys
import types

import pytest

from harness.board_python import modern
from harness.board_python.dialect import OLDEST, rewritten
from harness.board_python.sources import PROGRAM, collected
from harness.workloads.multitask.board import MODULES

NEWER = """
from __future__ import annotations
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, Protocol, TypeVar, get_args

if TYPE_CHECKING:
    import absent

T = TypeVar("T")
Pair = tuple[int, dict[str, float]]
Number = Whole | Fraction if False else None
Word = Literal["a", "b"]

class Whole: pass
class Fraction: pass
Both = Whole | Fraction

class Shape(Protocol, Generic[T]):
    def area(self) -> T: ...

@dataclass(frozen=True)
class Box(Mapping[str, int]):
    sides: Sequence[int]
    name: str = "box.stl"
    more: dict[str, int] = field(default_factory=dict)
    kind: ClassVar[str] = "solid"

    def __getitem__(self, key: str) -> int: return self.more[key]
    def __iter__(self): return iter(self.more)
    def __len__(self) -> int: return len(self.more)
    def __hash__(self) -> int: return 0

    @cached_property
    def volume(self) -> int:
        found: int = prod(self.sides)
        unset: int
        return found

def told(box: Box, /, *, strict: bool = True) -> tuple[int, str]:
    with nullcontext() as nothing:
        pairs = [a * b for a, b in zip(box.sides, box.sides, strict=True)]
    assert nothing is None and isinstance(Whole(), Both) and isinstance(1.5, int | float)
    assert not isinstance("x", int | float | Whole)
    return sum(pairs) + box.volume, box.name.removesuffix(".stl").removeprefix("b")

answer = (*told(Box([2, 3])), list(get_args(Word)), Box.kind)
""".replace(", /, *", ", *").replace("Number = Whole | Fraction if False else None\n", "")


@pytest.fixture
def as_modern(monkeypatch):
    """Have `board_modern` be importable, as on the board."""
    monkeypatch.setitem(sys.modules, "board_modern", modern)


def test_what_is_rewritten_does_the_same(as_modern, monkeypatch):
    """Both texts come to the same values: 4 + 9 + 6, the name cut, the words, the constant."""
    found = []
    for text in (NEWER, rewritten(NEWER)):
        module = types.ModuleType("example")
        monkeypatch.setitem(sys.modules, "example", module)  # where dataclasses look names up
        exec(compile(text, "example", "exec"), module.__dict__)
        found.append(module.answer)
    assert found[0] == found[1] == (19, "ox", ["a", "b"], "solid")


@pytest.mark.parametrize(
    "newer", ["if (n := 3): pass", "def f(a, /): pass", "match 1:\n    case 1: pass"]
)
def test_what_has_no_counterpart_is_refused_here(newer):
    """Syntax that Python 3.6 lacks ends before anything is sent."""
    with pytest.raises(SyntaxError):
        rewritten(newer)


@pytest.mark.parametrize("name", sorted(collected(MODULES)))
def test_every_module_that_is_sent_is_python_3_6(name):
    """Syntax, and no import of what the board lacks."""
    tree = ast.parse(collected(MODULES)[name], feature_version=OLDEST)
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    own = set(collected(MODULES))
    for module in imported - {None}:
        top = module.partition(".")[0]
        assert module in own or top in ("torch", "numpy") or top in sys.stdlib_module_names, module


def test_only_what_training_needs_is_sent():
    """The harness itself, its meters and files stay where they are."""
    sent = set(collected(MODULES))
    assert {PROGRAM, "models.multitask.small", "harness.federated.random_streams"} <= sent
    assert not [n for n in sent if n.startswith(("devices.meters", "harness.running", "analysis"))]


def test_functional_call_is_that_of_torch():
    """Output and gradients through replaced tensors are torch's own, and the module's stay."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    images = torch.randn(5, 3)
    results = []
    for call in (torch.func.functional_call, modern.functional_call):
        own = {n: (p * 2).detach().requires_grad_() for n, p in net.named_parameters()}
        own["1.running_mean"] = torch.zeros(4)
        out = call(net, own, (images,))
        grads = torch.autograd.grad(out.square().sum() + out.sum(), own["0.weight"])
        results.append((out, grads[0], own["1.running_mean"]))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert not net[1].running_mean.any()
