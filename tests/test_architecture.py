"""The house: rooms stand on floors, a room imports only from floors below its own, and no circle joins two files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "delaytool"
STANDARD_LIBRARY = sys.stdlib_module_names | {"tomllib"}  # of any Python that is supported

# The floor of every room. A room is a folder or a module of the package; '' is the package's face, `__init__.py`.
FLOORS = {
    **dict.fromkeys(
        (
            "version", "installation", "errors", "files", "digests", "printable", "progress", "accuracy_errors",
            "figure_style", "hw_configs", "interrupts", "cores", "toml",
        ),
        0,
    ),
    "contract": 1,
    "models": 2,
    "datasets": 2,
    "formats": 2,
    "runtime": 3,
    "quantization": 3,
    "adapters": 3,
    "exporter": 4,
    "trainer": 4,
    "verification": 4,
    "mapping": 4,
    "inference": 4,
    "analysis": 5,
    "experiments": 5,
    "report": 6,
    "commands": 7,
    "cli": 8,
    "__main__": 9,
    "": 9,
}  # fmt: skip

# Packages that a room, or a narrower place within it, may import besides the standard library. The longest name counts,
# so what a narrower place lists is all that it may have.
PACKAGES: dict[str, set[str]] = {
    "": set(),
    "__main__": set(),
    "version": set(),
    "installation": set(),
    "interrupts": set(),
    "errors": set(),
    "files": set(),
    "digests": set(),
    "printable": set(),
    "cores": set(),
    "progress": {"rich"},
    "accuracy_errors": {"numpy"},
    "figure_style": {"matplotlib"},
    "toml": {"tomli"},
    "hw_configs": set(),
    "contract": {"numpy", "h5py"},
    "models": {"numpy", "torch", "numba", "llvmlite"},
    "models.config": {"pydantic"},
    "models.neurons.triton_loops": {"torch", "triton"},
    "datasets": {"numpy", "h5py", "pooch", "scipy", "soundfile", "tonic"},
    "datasets.ear": {"numpy", "h5py", "numba", "scipy"},
    "formats": {"numpy", "h5py"},
    "formats.onnx": {"numpy", "onnx"},
    "formats.nir": {"numpy", "nir"},
    "runtime": {"numpy", "numba", "llvmlite"},
    "runtime.backends.torch": {"torch"},
    "runtime.backends.onnx": {"numpy", "onnxruntime"},
    "runtime.backends.brian2loihi_worker": {"numpy", "brian2", "brian2_loihi"},
    "runtime.backends.lava_worker": {"numpy", "scipy", "lava"},
    "quantization": {"numpy", "torch"},
    "adapters": {"torch"},
    "adapters.nir": {"numpy", "torch"},
    "exporter": {"numpy", "torch"},
    "trainer": {"numpy", "torch", "filelock", "tensorboard"},
    # Recipes are read, listed and checked without PyTorch.
    "trainer.recipe": {"pydantic", "tomli_w"},
    "trainer.recipe_keys": {"pydantic"},
    "trainer.run_folder": {"numpy", "torch", "filelock", "pydantic"},
    "trainer.run_records": {"pydantic"},
    "trainer.experiment_logs": {"wandb", "mlflow"},
    "verification": {"numpy"},
    "mapping": {"numpy"},
    "mapping.placement": {"numpy", "scipy"},
    "verification.executor": {"numpy", "distributed"},
    "inference": {"numpy"},
    "analysis": {"numpy", "torch", "matplotlib"},
    "analysis.morans_i": {"numpy"},
    "experiments": {"numpy", "torch"},
    "experiments.import_nir": {"nir"},
    "experiments.measure_run": {"numpy", "pydantic"},
    "experiments.run_network": {"numpy"},
    "experiments.sweep": {"torch", "optuna", "filelock"},
    "report": {"numpy", "matplotlib", "jinja2", "markupsafe"},
    "commands": {"click", "rich"},
    "commands.error_lines": set(),
    "cli": {"click"},
}

# Without PyTorch whatever they import: the right half, and what lists and checks recipes.
WITHOUT_TORCH = (
    "contract", "datasets", "formats", "hw_configs", "runtime", "verification", "inference", "mapping",
    "trainer.recipe", "trainer.recipe_keys", "trainer.reporter", "trainer.run_folder",
    "experiments.chip_fit", "experiments.run_network", "commands.map", "commands.map_tables",
)  # fmt: skip
# Loads by name: the face its names, the command line its verbs.
BY_NAME = ("", "cli")

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(module: str, *, on_import_only: bool = False) -> Iterator[tuple[str, int]]:
    """(name, line) of what a module imports, wherever it stands, `import_module` with a plain name included.

    on_import_only: what importing the module imports, not what calling its functions does.
    """
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
                is_module = submodule.startswith("delaytool.") and submodule.removeprefix("delaytool.") in MODULES
                yield submodule if is_module else str(node.module), node.lineno
        elif isinstance(node, ast.Call) and loads_by_name(node) and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value), node.lineno


def loads_by_name(call: ast.Call) -> bool:
    return ast.unparse(call.func).split(".")[-1] in ("import_module", "__import__") and bool(call.args)


def inside(module: str, place: str) -> bool:
    return module == place or (place != "" and module.startswith(place + "."))


def room_of(module: str) -> str:
    """The room that a module, or a name within one, belongs to."""
    return module.split(".")[0]


def longest(module: str, table: dict[str, set[str]]) -> str:
    return max((place for place in table if inside(module, place)), key=len)


def own(name: str) -> str:
    """'delaytool.contract.network' to 'contract.network', 'delaytool' to ''."""
    return name.removeprefix("delaytool").lstrip(".")


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_floors_below(module: str) -> None:
    room = room_of(module)
    assert room in FLOORS, f"delaytool.{module} is in no room of {Path(__file__).name}"
    packages = PACKAGES[longest(module, PACKAGES)]
    for name, line in imports(module):
        where = f"delaytool/{MODULES[module].relative_to(PACKAGE).as_posix()}:{line}"
        if name.split(".")[0] == "delaytool":
            other = room_of(own(name))
            if other not in (room, "version"):
                assert FLOORS[other] <= FLOORS[room], (
                    f"{where}: {room} (floor {FLOORS[room]}) imports {name} from above"
                )
                on_ground = FLOORS[other] == FLOORS[room] == 0  # the ground has no order but that of no circle
                assert on_ground or FLOORS[other] < FLOORS[room], f"{where}: {room} imports {name} of its own floor"
        elif name.split(".")[0] not in STANDARD_LIBRARY:
            assert name.split(".")[0] in packages, f"{where}: {longest(module, PACKAGES)} may not import {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if name not in BY_NAME])
def test_nothing_is_loaded_by_a_name_that_is_made_up_at_run_time(module: str) -> None:
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and loads_by_name(node):
            assert isinstance(node.args[0], ast.Constant), f"delaytool.{module}:{node.lineno} loads by name"


def test_no_circle_between_files() -> None:
    """In functions and for type checkers too: what a function imports, its file depends on."""
    graph = {
        module: {own(name) for name, _ in imports(module) if name.split(".")[0] == "delaytool"} - {module, ""}
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_right_half_never_reaches_pytorch_on_import() -> None:
    reached: dict[str, set[str]] = {}

    def packages_of(module: str) -> set[str]:
        if module not in reached:
            reached[module] = set()
            for name, _ in imports(module, on_import_only=True):
                if name.split(".")[0] == "delaytool":
                    found = own(name)
                    while found not in MODULES:
                        found = found.rpartition(".")[0]
                    reached[module] |= packages_of(found)
                else:
                    reached[module].add(name.split(".")[0])
        return reached[module]

    for module in MODULES:
        if any(inside(module, place) for place in WITHOUT_TORCH) and module != "runtime.backends.torch":
            assert "torch" not in packages_of(module), f"importing delaytool.{module} imports PyTorch"


MOST_PARAMETERS = 12
# A layer is built as PyTorch's are: each setting a keyword with a default, described in the class; inside it is one
# `SynapseSettings`. Groups would give every user a second class to import for one number.
LONGER = {("models.delayed_linear", "__init__")}


@pytest.mark.parametrize("module", MODULES)
def test_parameters_that_belong_together_are_one(module: str) -> None:
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (module, node.name) not in LONGER:
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
            assert len(names) <= MOST_PARAMETERS, (
                f"delaytool.{module}:{node.lineno}: {node.name} takes {len(names)} parameters; make those that belong "
                "together a dataclass (of a verb's options, commands.option_groups)"
            )


def test_the_tables_are_no_longer_than_the_package() -> None:
    unknown = [place for place in {**FLOORS, **PACKAGES} if place not in MODULES]
    assert not unknown, f"rules for what is not there: {unknown}"
