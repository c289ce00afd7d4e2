"""`delaytool export --target onnx`, `nir` and `onnx-float`: a chip's integers, or the float network, as other files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from delaytool.commands.console import echo
from delaytool.commands.warnings import show_warnings, warn_if_unsigned
from delaytool.errors import ExportError
from delaytool.files import require_writable_file

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork
    from delaytool.experiments.export_run import ExportOptions


# The target that writes a run's float network; all others write integers.
ONNX_FLOAT = "onnx-float"


def export_format(
    target: str, run: Path, output: Path | None, chip: str, options: ExportOptions, *, trace: bool, quiet: bool
) -> None:
    """Compile a run for a chip and write its integers in a format too, or its float network. Raises DelaytoolError."""
    if target == ONNX_FLOAT:
        _export_float(run, output, options, trace, quiet)
        return
    network, file, verify_options = _compiled(target, run, output, chip, options, quiet)
    write_format(target, network, file, output, trace=trace, verify_options=verify_options)


@dataclass(frozen=True)
class ToWrite:
    """A network that is to be written in a format.

    file             its network file
    path             of the format's file
    trace            the graph also gives out every spike, current and membrane
    verify_options   what `verify` needs besides the network file
    """

    network: IntegerNetwork
    file: Path
    path: Path
    trace: bool
    verify_options: str


@dataclass(frozen=True)
class Format:
    """A format of integer networks, by whose name `--target` writes it.

    write      writes a network and prints the files and what to do with them next
    files      every file that is written to a path
    is_graph   whether it can give out a trace
    """

    write: Callable[[ToWrite], None]
    files: Callable[[Path], tuple[Path, ...]]
    is_graph: bool


def write_format(
    target: str,
    network: IntegerNetwork,
    file: Path,
    output: Path | None,
    *,
    trace: bool,
    verify_options: str = " --data …",
) -> None:
    """Write an integer network, whose file is `file`, in a format of `FORMATS`.

    Raises OutputError where the format's files cannot be written, or one would replace the network's own file.
    """
    path = output or file.with_suffix(f".{target}")
    for written in FORMATS[target].files(path):
        require_writable_file(written, reads=(file,))
    warn_if_unsigned(network, file)
    FORMATS[target].write(ToWrite(network, file, path, trace, verify_options))


def _write_onnx(wanted: ToWrite) -> None:
    from delaytool.formats.onnx.write import write_onnx

    whole, step = write_onnx(wanted.network, wanted.path, trace=wanted.trace)
    echo(f"ONNX graph of a sample: {whole}")
    echo(f"ONNX graph of one step: {step}")
    file = quote(str(wanted.file))
    echo(f"next: delaytool verify {file} --backend onnx --against onnx-step{wanted.verify_options}")


def _onnx_files(path: Path) -> tuple[Path, ...]:
    from delaytool.formats.onnx.write import step_path

    return path, step_path(path)


def _write_nir(wanted: ToWrite) -> None:
    from delaytool.formats.nir.write import write_nir

    path = wanted.path
    write_nir(wanted.network, path)
    echo(f"NIR graph: {path}")
    again = quote(str(path.with_name(f"{path.stem}-from-nir.h5")))
    echo(f"it comes back with: delaytool import {quote(str(path))} -o {again}")


FORMATS = {
    "onnx": Format(_write_onnx, _onnx_files, is_graph=True),
    "nir": Format(_write_nir, lambda path: (path,), is_graph=False),
}


def _compiled(
    target: str, run: Path, output: Path | None, chip: str, options: ExportOptions, quiet: bool
) -> tuple[IntegerNetwork, Path, str]:
    """(network, its file, what `verify` needs besides) of a run."""
    from delaytool.commands.export_report import data_option, print_export
    from delaytool.experiments.export_run import export_run
    from delaytool.hw_configs import load_target
    from delaytool.progress import StepBars
    from delaytool.trainer.run_folder import RunFolder

    made_for = load_target(chip)
    file = run / f"network-{chip}.h5" if output is None else output.with_suffix(".h5")
    if run.exists():  # else it is the run that is missing
        trained = (*RunFolder(run).files, options.data)
        written = output or file.with_suffix(f".{target}")
        require_writable_file(file, reads=trained, writes=(written,))
        require_writable_file(written, reads=trained)
    with StepBars(not quiet) as progress:
        done = export_run(run, made_for, file, options, progress)
    print_export(done, made_for.title, file)
    return done.network, file, f" --run {quote(str(run))}{data_option(done, options.data)}"


def _export_float(run: Path, output: Path | None, options: ExportOptions, trace: bool, quiet: bool) -> None:
    from delaytool.experiments.export_float import export_float
    from delaytool.progress import StepBars
    from delaytool.trainer.run_folder import RunFolder

    if run.is_file():
        raise ExportError(f"{run}: a network file holds integers alone; give the run folder, whose network is float")
    path = output or run / "network-float.onnx"
    if run.exists():
        require_writable_file(path, reads=(*RunFolder(run).files, options.data))
    with StepBars(not quiet) as progress:
        found, warnings = export_float(run, path, options, trace=trace, progress=progress)
    show_warnings(warnings)
    shares = ", ".join(f"{name} {100 * share:.3g} %" for name, share in found.spikes.items())
    spikes = f"spikes that differ {shares}; " if shares else ""  # without hidden layers nothing spikes
    echo(f"ONNX graph of the float network: {path}")
    echo(
        f"on {found.samples} samples of the run's data, onnxruntime beside PyTorch: {spikes}"
        f"classes that differ {100 * found.classes:.3g} %"
    )
