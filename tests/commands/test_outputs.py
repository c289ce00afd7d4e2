"""Outputs that cannot be written: one line, exit code 2, before anything is computed, and nothing half-written."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from delaytool.commands.error_lines import error_line

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = ["--set", "model.hidden=[6]", "--set", "trainer.epochs=2", "--set", "trainer.batch_size=512"]


def within(limit: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process that can write no file beyond `limit` bytes: as on a full disk, a write fails."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "delaytool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, timeout=300, check=False)


def assert_one_error(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, (result.returncode, result.stdout, result.stderr)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in errors[0]


def test_export_on_a_full_disk(run, tmp_path):
    """HDF5 crashes the process there, so it must not be the one that writes."""
    output = tmp_path / "n.h5"
    result = within(8192, "export", run, "-o", output, "--calibration-samples", 8)
    assert_one_error(result, str(output), "file too large")
    assert list(tmp_path.iterdir()) == []


def test_train_on_a_full_disk_can_be_gone_on_with(tmp_path, call):
    folder = tmp_path / "run"
    result = within(16_384, "train", "digits", "-o", folder, *TINY)
    assert_one_error(result, str(folder / "best.pt"), "file too large")
    names = {path.name for path in folder.iterdir()} - {"tensorboard", ".lock"}
    assert names == {"environment.json", "class_names.json", "recipe.toml", "metrics.jsonl"}
    assert call("train", "--resume", folder).exit_code == 0
    assert (folder / "summary.json").exists()


@pytest.mark.parametrize("limit", [0, 2048])
def test_train_where_nothing_can_be_written_leaves_nothing(limit, tmp_path):
    """A file can be made there, but not a block of it written: found before anything is computed."""
    result = within(limit, "train", "digits", "-o", tmp_path / "run", *TINY)
    assert_one_error(result, str(tmp_path / "run"), "cannot be written (file too large)")
    assert list(tmp_path.iterdir()) == []


def test_report_on_a_full_disk(run, tmp_path, call):
    call("verify", run / "network-loihi2.h5", "--samples", 2, "--no-drop")  # compiles the engine, whose code is kept
    page = tmp_path / "page.html"
    result = within(8192, "report", run, "-o", page, "--samples", 2)
    assert_one_error(result, str(page), "file too large")
    assert list(tmp_path.iterdir()) == []


OUTPUTS = [
    ("train", "digits", "-o", "PLACE/run"),
    ("export", "RUN", "-o", "PLACE/n.h5"),
    ("report", "RUN", "-o", "PLACE/page.html"),
    ("analyze", "RUN", "-o", "PLACE/analysis"),
    ("import", str(FIXTURES / "netx-v1.net"), "-o", "PLACE/n.h5"),
    ("sweep", "digits", "--over", "seed=0..1", "-o", "PLACE/sweep"),
    ("compare", "digits", "--seeds", "1", "-o", "PLACE/comparison"),
]


READERS = (
    "trainer.dry_run", "trainer.loop", "experiments.import_nir", "experiments.sweep.prepare", "experiments.data_of_run",
    "experiments.import_run", "experiments.cross_validation.begin", "trainer.data",
)  # fmt: skip


@pytest.mark.parametrize("words", OUTPUTS, ids=lambda words: words[0])
def test_a_place_under_a_file_is_refused_before_anything_is_read(words, run, tmp_path, call, monkeypatch):
    def reads(*arguments, **keywords):
        raise AssertionError("data were read before the output was checked")

    for module in READERS:  # the module that has it last: one that is imported after it would keep the stand-in
        monkeypatch.setattr(f"delaytool.{module}.load_data", reads)
    monkeypatch.setattr("delaytool.contract.network.IntegerNetwork.load", reads)
    (tmp_path / "file").write_text("")
    arguments = [word.replace("PLACE", str(tmp_path / "file")).replace("RUN", str(run)) for word in words]
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert f"{tmp_path / 'file'} is not a folder; give another place" in result.output or (
        f"{tmp_path / 'file'}: this is a file; give a folder" in result.output
    )
    assert len(result.output.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_read_only_file_system_is_refused(call):
    if not Path("/proc/self").exists():
        pytest.skip("this system has no /proc, where nobody can make a file")
    result = call("train", "digits", "-o", "/proc/run")
    assert result.exit_code == 2
    assert "error: /proc/run: cannot be written" in result.output


def test_a_folder_where_a_file_should_be(run, tmp_path, call):
    for words in (("export", run), ("report", run)):
        result = call(*words, "-o", tmp_path)
        assert result.exit_code == 2
        assert f"{tmp_path}: this is a folder; give the name of a file" in result.output


LOST = "this command reads this file, which would be lost; give another name with -o"
TWICE = "this command would write two files of this name; give another name with -o"
# What each command must not replace, and why; RUN is a copy of the run, NET of its network.
OWN_INPUTS = [
    (("export", "RUN", "-o", "RUN/best.pt"), "RUN/best.pt", LOST),
    (("export", "RUN", "-o", "RUN/recipe.toml"), "RUN/recipe.toml", LOST),
    (("export", "RUN", "-o", "RUN/class_names.json"), "RUN/class_names.json", LOST),
    (("export", "RUN", "--target", "onnx-float", "-o", "RUN/last.pt"), "RUN/last.pt", LOST),
    (("export", "RUN", "--data", "RUN/data.h5", "-o", "RUN/data.h5"), "RUN/data.h5", LOST),
    (("export", "RUN", "-o", "RUN/copy.net"), "RUN/copy.net", TWICE),
    (("export", "RUN", "--target", "nir", "-o", "RUN/net.h5"), "RUN/net.h5", TWICE),
    (("export", "RUN", "--target", "nir", "-o", "RUN/best.pt"), "RUN/best.pt", LOST),
    (("export", "NET.h5", "--target", "onnx", "-o", "NET.h5"), "NET.h5", LOST),
    (("export", "NET.h5", "--target", "nir", "-o", "LINK.h5"), "LINK.h5", LOST),
    (("export", "NET.onnx", "--target", "onnx"), "NET.onnx", LOST),
    (("export", "NET-step.onnx", "--target", "onnx", "-o", "NET.onnx"), "NET-step.onnx", LOST),
    (("import", "NET.net", "-o", "NET.net"), "NET.net", LOST),
    (("import", "NET.nir", "-o", "NET.nir"), "NET.nir", LOST),
    (("report", "NET.h5", "-o", "NET.h5"), "NET.h5", LOST),
    (("report", "RUN", "-o", "RUN/network-loihi2.h5"), "RUN/network-loihi2.h5", LOST),
    (("report", "RUN/network-loihi2.h5", "-o", "RUN/metrics.jsonl"), "RUN/metrics.jsonl", LOST),
    (("map", "NET.h5", "--data", "recorded", "-o", "NET.h5"), "NET.h5", LOST),
]  # fmt: skip


@pytest.fixture(scope="module")
def inputs(run, tmp_path_factory, call):
    """A copy of the run as RUN, and its network under each name that OWN_INPUTS uses."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(run, folder / "RUN")
    (folder / "RUN" / "data.h5").write_bytes(b"data")
    network = run / "network-loihi2.h5"
    for name in ("NET.h5", "NET.onnx", "NET-step.onnx"):
        shutil.copy(network, folder / name)
    shutil.copy(FIXTURES / "netx-v1.net", folder / "NET.net")
    (folder / "LINK.h5").symlink_to(folder / "NET.h5")
    if find_spec("nir") is not None:
        assert call("export", network, "--target", "nir", "-o", folder / "NET.nir").exit_code == 0
    return folder


@pytest.mark.parametrize(("words", "lost", "why"), OWN_INPUTS, ids=[" ".join(words) for words, _, _ in OWN_INPUTS])
def test_a_command_does_not_overwrite_what_it_reads(words, lost, why, inputs, call, monkeypatch):
    if any(word.endswith(".nir") for word in words):
        pytest.importorskip("nir")
    monkeypatch.chdir(inputs)
    before = {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()}
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert result.output.strip() == f"error: {lost}: {why}"
    assert {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()} == before


def test_a_damaged_run_is_one_line_for_every_verb(run, tmp_path, call):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for name in ("best.pt", "recipe.toml", "summary.json", "environment.json", "metrics.jsonl"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        verb = "export" if name == "best.pt" else "report"
        result = call(verb, copy, "-o", tmp_path / "out")
        assert result.exit_code == 2, name
        assert name in result.output
        assert "SHA-256 differs" in result.output
        assert not (tmp_path / "out").exists()
        (copy / name).write_bytes(whole)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a/b.pt"), "a/b.pt: no space left on device; free space there, or"),
        (PermissionError(13, "Permission denied", b"a"), "a: permission denied; give a place where you may write"),
        (OSError("odd"), "a file: odd; correct that, or give another place, and run again"),
        (MemoryError("Unable to allocate 3 TiB"), "memory ran out (Unable to allocate 3 TiB); free memory, or take"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory ran out (DefaultCPUAllocator:"),
        (RecursionError("maximum recursion depth exceeded"), "raised: values are nested too deep (maximum recursion"),
        (OverflowError("int too big to convert"), "raised: a number is too large (int too big to convert); give"),
        (RuntimeError("a fault"), None),
        (KeyError("a fault"), None),
        (BrokenPipeError(32, "Broken pipe"), None),
    ],
)
def test_errors_of_system_and_libraries(error, line, monkeypatch):
    found = error_line(raised(error))
    if line is None:
        assert found is None
    else:
        # The place of an error is this package's function that raised it, and this test is in none.
        assert found.startswith(line) or found.split(": ", 1)[1].startswith(line.split(": ", 1)[1])
    monkeypatch.setenv("DELAYTOOL_TRACEBACK", "1")
    assert error_line(raised(error)) is None


def test_errors_of_h5py_and_torch(tmp_path):
    import h5py
    import torch

    (tmp_path / "a.h5").write_text("no HDF5")
    cases = {
        "an HDF5 file cannot be read or written (Unable to": lambda: h5py.File(tmp_path / "a.h5"),
        "PyTorch failed (": lambda: torch.nn.functional.conv1d(torch.zeros(1, 2, 3), torch.zeros(1, 3, 3)).sum(),
        f"{tmp_path}/b: no such file or directory": lambda: torch.load(tmp_path / "b"),
    }
    for words, call in cases.items():
        with pytest.raises((OSError, RuntimeError)) as caught:
            call()
        line = error_line(caught.value)
        if words.startswith("PyTorch") and line is None:
            continue  # raised in PyTorch's C code, called from here: a fault of the caller
        assert line is not None
        assert line.startswith(words)
        assert "\n" not in line
