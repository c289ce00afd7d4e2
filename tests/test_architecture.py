"""Who may import whom: every import of the package, wherever it stands, against one table."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "delaytool"
ANY = frozenset({"*"})
STANDARD_LIBRARY = sys.stdlib_module_names | {"tomllib"}  # of any Python that is supported

# part: (parts of delaytool that it may import, other packages that it may import). A part is a module or a folder;
# the longest name that fits counts. What a part may not import is what is not here: PyTorch in runtime, say.
# A folder may import itself; '' is delaytool/__init__.py, which holds the version.
RULES: dict[str, tuple[set[str] | frozenset[str], set[str] | frozenset[str]]] = {
    "": (set(), set()),
    "errors": (set(), set()),
    "files": (set(), set()),
    "printable": (set(), set()),
    "accuracy_errors": (set(), {"numpy"}),
    "contract": ({"errors", "files"}, {"numpy", "h5py"}),
    "contract.network": ({"contract", "errors"}, {"numpy"}),
    "contract.limits": ({"contract", "hw_configs", "errors"}, {"numpy"}),
    "network": ({"contract"}, set()),
    "hw_configs": ({"errors"}, {"tomli"}),
    "datasets": (
        {"contract", "network", "errors", "files"},
        {"numpy", "h5py", "sklearn", "tonic", "scipy", "soundfile"},
    ),
    "formats": (set(), set()),
    "formats.netx": ({"contract", "hw_configs", "errors", "files"}, {"numpy", "h5py"}),
    "formats.onnx": ({"contract", "errors", "files"}, {"numpy", "onnx"}),
    "formats.nir": ({"contract", "errors", "files"}, {"numpy", "nir"}),
    "runtime.backends.onnx": (
        {"contract", "errors", "formats.onnx", "runtime.trace"},
        {"numpy", "onnxruntime"},
    ),
    "runtime.backends.brian2loihi_worker": (set(), {"numpy", "brian2", "brian2_loihi"}),
    "runtime": (
        {"", "contract", "network", "errors", "files", "accuracy_errors", "runtime.backends.onnx"},
        {"numpy", "numba", "llvmlite"},
    ),
    "runtime.lavaworker": ({"contract", "network", "runtime.trace"}, {"numpy", "scipy", "lava"}),
    "verification": (
        {"contract", "network", "errors", "accuracy_errors", "runtime", "verification.executor"},
        {"numpy"},
    ),
    "verification.executor": (
        {"", "network", "errors", "runtime", "verification.compare"},
        {"numpy", "distributed"},
    ),
    "models": (
        {"hw_configs", "contract", "network", "errors"},
        {"numpy", "torch", "numba", "llvmlite", "triton", "pydantic"},
    ),
    "trainer": (
        {
            "",
            "accuracy_errors",
            "quantisation",
            "models",
            "datasets",
            "hw_configs",
            "contract",
            "network",
            "errors",
            "files",
        },
        {"numpy", "torch", "pydantic", "tomli", "tomli_w"},
    ),
    "quantisation": ({"models", "hw_configs", "contract", "network", "errors"}, {"numpy", "torch"}),
    "exporter": (
        {"", "quantisation", "models", "hw_configs", "contract", "network", "errors", "files"},
        {"numpy", "torch"},
    ),
    "exporter.float_onnx": (
        {"exporter", "quantisation", "models", "formats.onnx.float_sequence", "contract", "errors", "files"},
        {"numpy"},
    ),
    "adapters": ({"formats.nir.float_network", "trainer", "errors"}, {"numpy", "torch"}),
    "sweep": ({"trainer", "models", "accuracy_errors", "errors", "files"}, {"torch", "optuna", "filelock", "tomli"}),
    "sweep.figure": ({"sweep", "report.style", "files"}, {"matplotlib"}),
    "analysis": (
        {
            "",
            "trainer",
            "models",
            "quantisation",
            "contract",
            "network",
            "errors",
            "files",
            "analysis.morans_i",
            "report.style",
        },
        {"numpy", "torch", "matplotlib"},
    ),
    "analysis.morans_i": (set(), {"numpy"}),
    "experiments": (
        {
            "adapters",
            "formats.nir.float_network",
            "models.delay_network",
            "contract",
            "network",
            "errors",
            "files",
            "hw_configs",
            "datasets",
            "models.integer",
            "trainer",
            "exporter",
            "runtime",
            "verification",
            "sweep",
        },
        {"numpy", "torch", "nir"},
    ),
    "report": (
        {
            "",
            "accuracy_errors",
            "network",
            "errors",
            "files",
            "hw_configs",
            "printable",
            "trainer",
            "exporter",
            "runtime",
            "verification",
            "sweep",
            "analysis",
            "experiments",
        },
        {"numpy", "matplotlib", "jinja2"},
    ),
    "commands": (ANY, ANY),
    "cli": ({"", "errors", "printable"}, {"click"}),
    "__main__": ({"cli"}, set()),
}

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(module: str, *, on_import_only: bool = False) -> Iterator[tuple[str, int]]:
    """(name, line) of what a module imports; `on_import_only`: what importing it imports, not what calling it does."""
    pending: list[ast.AST] = [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if on_import_only and (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        ):
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: imports are absolute in this package"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                is_module = submodule.removeprefix("delaytool.") in MODULES and submodule.startswith("delaytool.")
                yield submodule if is_module else str(node.module), node.lineno


def inside(module: str, part: str) -> bool:
    return module == part or (part != "" and module.startswith(part + "."))


def part_of(module: str) -> str:
    return max((part for part in RULES if inside(module, part)), key=len, default="(no rule)")


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_what_its_part_may(module: str) -> None:
    part = part_of(module)
    assert part in RULES, f"delaytool.{module} has no rule in {Path(__file__).name}"
    ours, others = RULES[part]
    for name, line in imports(module):
        where = f"delaytool/{MODULES[module].relative_to(PACKAGE).as_posix()}:{line}"
        root, _, rest = name.partition(".")
        if root == "delaytool":
            allowed = part_of(rest) == part or ours == ANY or any(inside(rest, other) for other in ours)
        else:
            allowed = root in STANDARD_LIBRARY or others == ANY or root in others
        assert allowed, f"{where}: {part or 'delaytool'} may not import {name}"


def test_no_circle() -> None:
    graph = {
        module: {
            name.removeprefix("delaytool").lstrip(".")
            for name, _ in imports(module, on_import_only=True)
            if name.split(".")[0] == "delaytool"
        }
        - {module}
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_table_is_no_longer_than_the_package() -> None:
    unknown = [part for part in RULES if part not in MODULES]
    assert not unknown, f"rules for what is not there: {unknown}"
