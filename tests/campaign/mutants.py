"""Mutants of a module's source: one small change each, as a syntax tree.

The changes are those that a slip of the hand would make: another operator, a comparison with or without equality, a
constant one off, a branch turned round, a statement left out; for code that builds LLVM's instructions, another one.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
# Functions and LLVM builder methods of the same shape.
CALLS = {
    "min": "max", "max": "min", "add": "sub", "sub": "add", "mul": "add", "ashr": "lshr", "lshr": "ashr", "shl": "lshr",
    "and_": "or_", "or_": "and_", "xor": "and_", "not_": "neg", "sext": "zext", "zext": "sext", "minimum": "maximum",
    "maximum": "minimum", "abs": "sign", "sign": "abs", "flatnonzero": "nonzero", "any": "all",
    "lanes_decayed": "lanes_decayed_small",
}  # fmt: skip
COMPARED = {">": ">=", "<": "<=", "<=": "<", ">=": ">"}


@dataclass(frozen=True)
class Mutant:
    """name: what was changed and where, the same as long as that line is; tree: the whole module.

    compiled: the function is one of numba's, or decides what numba compiles.
    """

    function: str
    name: str
    tree: ast.Module
    compiled: bool


def mutants(source: str, functions: tuple[str, ...]) -> Iterator[Mutant]:
    """All mutants of the named functions (at any depth of the module)."""
    module = ast.parse(source)
    lines = source.splitlines()
    nodes = list(ast.walk(module))
    inside = [
        (top.name, number)
        for number, top in enumerate(nodes)
        if isinstance(top, ast.FunctionDef) and top.name in functions
    ]
    found = {name for name, _ in inside}
    assert found == set(functions), f"no such functions: {sorted(set(functions) - found)}"
    for function, number in inside:
        compiled = "llvmlite" in source or any("njit" in ast.unparse(line) for line in nodes[number].decorator_list)
        seen: dict[str, int] = {}
        position = {id(node): place for place, node in enumerate(nodes)}
        body = [inner for statement in nodes[number].body for inner in ast.walk(statement)]
        for node in body:
            for label, change in _changes(node):
                tree = copy.deepcopy(module)
                twin = list(ast.walk(tree))[position[id(node)]]
                change(twin)
                line = lines[getattr(node, "lineno", 1) - 1].strip()
                name = f"{line}  {label}"
                seen[name] = seen.get(name, 0) + 1
                if seen[name] > 1:
                    name += f" ({seen[name]})"
                yield Mutant(function, name, ast.fix_missing_locations(tree), compiled)


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """(label, function that changes the node's twin in place) for every mutation of one node."""

    def setting(name: str, value: object):  # type: ignore[no-untyped-def]
        return lambda twin: setattr(twin, name, value)

    def becomes(make):  # type: ignore[no-untyped-def]
        def change(twin: ast.AST) -> None:
            new = make(twin)
            twin.__class__ = new.__class__
            twin.__dict__ = new.__dict__

        return change

    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        new = OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} -> {new.__name__}", setting("op", new())
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for comparison in COMPARISONS.get(type(node.ops[0]), ()):
            yield f"{type(node.ops[0]).__name__} -> {comparison.__name__}", setting("ops", [comparison()])
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield f"{node.value} -> {node.value + 1}", setting("value", node.value + 1)
    if isinstance(node, ast.Constant) and node.value in COMPARED:
        yield f"{node.value!r} -> {COMPARED[node.value]!r}", setting("value", COMPARED[node.value])
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield f"{node.value} -> {not node.value}", setting("value", not node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield f"without {type(node.op).__name__}", becomes(lambda twin: twin.operand)
    if isinstance(node, ast.BoolOp):
        new_bool = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{type(node.op).__name__} -> {new_bool.__name__}", setting("op", new_bool())
    if isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare):
        yield "condition turned round", lambda twin: setattr(twin, "test", ast.UnaryOp(ast.Not(), twin.test))
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in CALLS:
            new_name = CALLS[node.func.id]
            yield f"{node.func.id} -> {new_name}", lambda twin: setattr(twin.func, "id", new_name)
        if isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            new_attr = CALLS[node.func.attr]
            yield f"{node.func.attr} -> {new_attr}", lambda twin: setattr(twin.func, "attr", new_attr)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("select", "where") and len(node.args) == 3:
            yield "arms exchanged", lambda twin: twin.args.__setitem__(slice(1, 3), twin.args[2:0:-1])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "left out", becomes(lambda twin: ast.Pass())
    if isinstance(node, ast.AugAssign):
        yield "left out", becomes(lambda twin: ast.Pass())
