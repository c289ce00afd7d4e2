"""`delaytool export --target onnx`, `nir` and `onnx-float`: a chip's integers, or the float network, as other files."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from delaytool.commands.console import echo
from delaytool.commands.warnings import show_warnings
from delaytool.errors import ExportError
from delaytool.files import require_writable_file

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork
    from delaytool.experiments.export_run import ExportOptions


def export_format(
    target: str, run: Path, output: Path | None, chip: str, options: ExportOptions, *, trace: bool, quiet: bool
) -> None:
    """Compile a run for a chip and write its integers in a format too, or its float network. Raises DelaytoolError."""
    if target == "onnx-float":
        _export_float(run, output, options, trace, quiet)
        return
    network, file, further = _compiled(target, run, output, chip, options, quiet)
    write_format(target, network, file, output, trace=trace, further=further)


def write_format(
    target: str,
    network: IntegerNetwork,
    file: Path,
    output: Path | None,
    *,
    trace: bool,
    further: str = " --data …",
) -> None:
    """Write an integer network, whose file is `file`, as 'onnx' or 'nir'; `further`: what `verify` needs besides."""
    path = output or file.with_suffix(f".{target}")
    _require_writable(target, path, file)
    if target == "onnx":
        from delaytool.formats.onnx.write import write_onnx

        whole, step = write_onnx(network, path, trace=trace)
        echo(f"ONNX graph of a sample: {whole}")
        echo(f"ONNX graph of one step: {step}")
        echo(f"next: delaytool verify {quote(str(file))} --backend onnx --against onnx-step{further}")
    else:
        from delaytool.formats.nir.write import write_nir

        write_nir(network, path)
        echo(f"NIR graph: {path}")
        again = quote(str(path.with_name(f"{path.stem}-from-nir.h5")))
        echo(f"it comes back with: delaytool import {quote(str(path))} -o {again}")


def _require_writable(target: str, path: Path, file: Path) -> None:
    """Raise OutputError where the format's files cannot be written, or one would replace the network's own file."""
    require_writable_file(path, reads=(file,))
    if target == "onnx":
        from delaytool.formats.onnx.write import step_path

        require_writable_file(step_path(path), reads=(file,))


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
    echo(f"ONNX graph of the float network: {path}")
    echo(
        f"on {found.samples} samples of the run's data, onnxruntime beside PyTorch: spikes that differ {shares}; "
        f"classes that differ {100 * found.classes:.3g} %"
    )
