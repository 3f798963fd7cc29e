"""Write source of today's Python as Python 3.6, which JetPack 4 has with a PyTorch for its GPU.

There is one source of networks and training, and two Pythons read it. What is rewritten is what
these sources use: annotations go (the fields of dataclasses keep a placeholder), `zip(strict=)`
loses its check, names that younger libraries have come from `board_modern`. What would be an error
of syntax all the same is refused here and not on the board.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

MODERN = "board_modern"
"""The module with what the older standard library lacks; see `harness.board_python.modern`."""

TYPING = ("typing", "typing_extensions", "numpy.typing")
"""Modules that only annotations need; what is imported from them stands for nothing."""

ABSTRACT = "collections.abc"
LACKING = {
    "contextlib": ("nullcontext",),
    "functools": ("cache", "cached_property"),
    "math": ("prod",),
    "torch.func": ("functional_call",),
}
"""Names that the oldest Python and PyTorch do not have where younger ones do."""

METHODS = ("removeprefix", "removesuffix")
"""Methods of text that came with Python 3.9."""

SUBSCRIPTED = ("tuple", "list", "dict", "set", "frozenset", "type")

OLDEST = (3, 6)


def rewritten(source: str, name: str = "<source>") -> str:
    """Return source that Python 3.6 reads and that does the same.

    Raises:
        SyntaxError: if something in it has no counterpart there.
    """
    tree = _Rewriting().visit(ast.parse(source, name))
    text = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    ast.parse(text, name, feature_version=OLDEST)
    return text


class _Rewriting(ast.NodeTransformer):
    """Rewrite one module."""

    def __init__(self) -> None:
        self._unsubscripted = set(SUBSCRIPTED)
        self._in_class = False

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.AST] | None:
        """Take imports from where the older Python has them."""
        if node.module == "__future__":
            return None
        if node.module in TYPING:
            names = {alias.asname or alias.name for alias in node.names}
            self._unsubscripted |= names - {"Literal"}  # whose words some code reads
            return ast.ImportFrom(MODERN, node.names, 0)
        if node.module == ABSTRACT:
            self._unsubscripted |= {alias.asname or alias.name for alias in node.names}
        lacking = LACKING.get(node.module or "", ())
        moved = [alias for alias in node.names if alias.name in lacking]
        kept = [alias for alias in node.names if alias.name not in lacking]
        found: list[ast.AST] = [ast.ImportFrom(MODERN, moved, 0)] if moved else []
        return found + ([ast.ImportFrom(node.module, kept, node.level)] if kept else [])

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt] | None:
        """Drop what is imported for annotations alone."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop the annotations of a function."""
        inside, self._in_class = self._in_class, False
        node.returns = None
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for argument in [*every, arguments.vararg, arguments.kwarg]:
            if argument is not None:
                argument.annotation = None
        self.generic_visit(node)
        self._in_class = inside
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Note that names with annotations are fields here."""
        inside, self._in_class = self._in_class, True
        self.generic_visit(node)
        self._in_class = inside
        node.body = node.body or [ast.Pass()]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Keep a field of a class without its type; make any other a plain assignment."""
        constant = "ClassVar" in ast.dump(node.annotation)
        value = None if node.value is None else self.visit(node.value)
        if self._in_class and not constant:
            placeholder = ast.Name("object", ast.Load())
            return ast.AnnAssign(node.target, placeholder, value, node.simple)
        return None if value is None else ast.Assign([node.target], value)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Make a name for several classes a tuple of them, as `isinstance` takes it."""
        self.generic_visit(node)
        several = _united(node.value)
        if isinstance(several, ast.Tuple) and all(map(_is_class, several.elts)):
            node.value = several
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Leave out what a type is of: the older types cannot be asked."""
        if isinstance(node.value, ast.Name) and node.value.id in self._unsubscripted:
            return node.value
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Rewrite calls that the older Python does not know."""
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Name) and function.id == "zip":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "strict"]
        if isinstance(function, ast.Name) and function.id == "isinstance":
            node.args[1] = _united(node.args[1])
        if isinstance(function, ast.Attribute) and function.attr in METHODS:
            modern = ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant(MODERN)], [])
            node.func = ast.Attribute(modern, function.attr, ast.Load())
            node.args = [function.value, *node.args]
        return node


def _united(kinds: ast.expr) -> ast.expr:
    """Return the tuple that `a | b` stands for in `isinstance`."""
    if isinstance(kinds, ast.BinOp) and isinstance(kinds.op, ast.BitOr):
        return ast.Tuple([*_alternatives(kinds.left), *_alternatives(kinds.right)], ast.Load())
    return kinds


def _is_class(name: ast.expr) -> bool:
    return isinstance(name, ast.Name) and name.id.lstrip("_")[:1].isupper()


def _alternatives(kinds: ast.expr) -> Sequence[ast.expr]:
    united = _united(kinds)
    return united.elts if isinstance(united, ast.Tuple) else [united]
