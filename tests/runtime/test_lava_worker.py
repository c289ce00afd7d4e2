"""The child process around Lava: finding an interpreter, the shim, time limits, errors. Most needs no Lava."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import delaytool
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError, DataError
from delaytool.runtime.backends import lava

PACKAGE = Path(delaytool.__file__).parent
posix_only = pytest.mark.skipif(os.name != "posix", reason="the stand-in interpreters are shell scripts")


def network(weight: int = 2, delay: int = 0) -> IntegerNetwork:
    group = DenseSynapses(0, np.array([[weight]]), np.array([[delay]]))
    layer = IntegerLayer("hidden1", 1, (group,), dv=409, threshold=100)
    return IntegerNetwork(InputEncoding(1, max_count=7), (layer,), Readout("sum", 1.0, 0, 5), n_steps=5)


FRAMES = np.ones((1, 5, 1), np.uint8)


def stand_in(folder: Path, script: str) -> str:
    """An executable in place of a Python interpreter."""
    path = folder / "python"
    path.write_text("#!/bin/sh\n" + textwrap.dedent(script), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def refusal(*arguments, **options) -> str:
    with pytest.raises(BackendError) as caught:
        lava.run(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_odd_weights_are_refused_by_name():
    text = refusal(network(weight=37), FRAMES)
    assert "layer hidden1, synapse group 0" in text
    assert "weight 37 is odd" in text
    assert "--target loihi2" in text


@pytest.mark.parametrize("weight", [256, -258])
def test_weights_out_of_range_are_refused(weight):
    assert f"weight {weight} is outside Lava's -256..254" in refusal(network(weight=weight), FRAMES)


def test_long_delays_are_refused():
    assert "delay 64 exceeds Lava's 63" in refusal(network(delay=64), FRAMES)


def test_frames_that_the_network_cannot_read_are_refused():
    """As by every backend: tests/contract/test_frames.py."""
    with pytest.raises(DataError, match=r"the value 8, the network's encoding admits 0\.\.7"):
        lava.run(network(), np.full((1, 5, 1), 8, np.uint8))


def test_an_unknown_variant_is_refused():
    assert "choose 'stock' or 'cached'" in refusal(network(), FRAMES, variant="fast")


def test_without_lava_the_error_names_how_to_install_it(monkeypatch):
    monkeypatch.delenv(lava.PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = refusal(network(), FRAMES)
    assert lava.INSTALL in text
    assert "--lava-python" in text


def test_the_interpreter_given_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv(lava.PYTHON_VARIABLE, "/from/environment")
    assert lava.find_python() == "/from/environment"
    assert lava.find_python("/given") == "/given"


def test_a_relative_path_is_the_callers_and_a_bare_name_is_looked_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lava.find_python("venv/bin/python") == str(tmp_path / "venv/bin/python")
    assert lava.find_python("python3.10") == "python3.10"


def test_an_interpreter_that_does_not_exist(tmp_path):
    assert "cannot start" in refusal(network(), FRAMES, python=tmp_path / "nowhere")


def test_an_interpreter_without_lava(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    python = tmp_path / ("Scripts" if os.name == "nt" else "bin") / "python"
    text = refusal(network(), FRAMES, python=python)
    assert "numpy is not installed" in text
    assert lava.INSTALL in text


@posix_only
def test_a_failing_worker_is_one_line(tmp_path):
    script = "echo 'Traceback (most recent call last):' >&2; echo 'ValueError: broken pipe' >&2; exit 7"
    text = refusal(network(), FRAMES, python=stand_in(tmp_path, script))
    assert "exit code 7 (ValueError: broken pipe)" in text


@posix_only
def test_a_silent_success_without_a_trace_is_an_error(tmp_path):
    assert "wrote no trace" in refusal(network(), FRAMES, python=stand_in(tmp_path, "exit 0"))


@posix_only
def test_a_hanging_worker_is_ended_with_all_its_children(tmp_path):
    marker = tmp_path / "child"
    script = f"sleep 60 & echo $! > {marker}; trap '' TERM; sleep 60"
    before = time.monotonic()
    text = refusal(network(), FRAMES, python=stand_in(tmp_path, script), timeout=1)
    assert time.monotonic() - before < 20
    assert "no result within 1 s" in text
    assert "--lava-timeout" in text
    time.sleep(0.2)
    assert not running(int(marker.read_text()))


def running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_lava_itself_is_ended_and_gives_its_shared_memory_back(lava_python):
    big = replace(network(), n_steps=100_000)
    shared = Path("/dev/shm")
    before = set(shared.iterdir()) if shared.is_dir() else set()
    assert "no result within 3 s" in refusal(big, FRAMES, python=lava_python, timeout=3)
    left = (set(shared.iterdir()) if shared.is_dir() else set()) - before
    deadline = time.monotonic() + 5
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        left = {path for path in left if path.exists()}
    assert not {path.name for path in left if path.name.startswith("psm_")}


FAKE_VAR_MODEL = """
    import dataclasses

    @dataclasses.dataclass
    class Inner:
        base: int = 0

    @dataclasses.dataclass
    class Outer:
        x: Inner = Inner()
        y: Inner = Inner()
"""


def run_python(python: str, code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [python, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SHIM = PACKAGE / "runtime" / "backends" / "lava_worker" / "shim.py"
LOAD_SHIM = f"""
import dataclasses, importlib.util
spec = importlib.util.spec_from_file_location("shim", {str(SHIM)!r})
shim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shim)
untouched = dataclasses.dataclass
"""


def test_the_shim_lifts_what_keeps_lava_from_newer_pythons(tmp_path):
    folder = tmp_path / "lava" / "magma" / "compiler"
    folder.mkdir(parents=True)
    (folder / "var_model.py").write_text(textwrap.dedent(FAKE_VAR_MODEL), encoding="utf-8")
    code = LOAD_SHIM + textwrap.dedent(
        """
        shim.apply()
        assert dataclasses.dataclass is untouched
        from lava.magma.compiler.var_model import Outer
        print(Outer())
        try:
            @dataclasses.dataclass
            class Mine:
                x: list = []
        except ValueError:
            print("still strict elsewhere")
        """
    )
    out = run_python(sys.executable, code, tmp_path)
    assert out == "Outer(x=Inner(base=0), y=Inner(base=0))\nstill strict elsewhere"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Lava needs no shim before Python 3.11")
def test_the_module_that_the_shim_mends_is_still_broken_without_it(tmp_path):
    (tmp_path / "fake.py").write_text(textwrap.dedent(FAKE_VAR_MODEL), encoding="utf-8")
    with pytest.raises(AssertionError, match="mutable default"):
        run_python(sys.executable, "import fake", tmp_path)


def test_the_shim_lets_the_installed_lava_in(lava_python, tmp_path):
    code = LOAD_SHIM + textwrap.dedent(
        """
        import sys
        if sys.version_info >= (3, 11):
            try:
                import lava.magma.compiler.var_model
            except ValueError as error:
                assert "mutable default" in str(error), error
            else:
                raise SystemExit("this Lava needs no shim any more: drop it")
        shim.apply()
        import lava.magma.compiler.var_model
        from lava.proc.lif.process import LIF
        assert dataclasses.dataclass is untouched
        print("imported")
        """
    )
    assert run_python(lava_python, code, tmp_path) == "imported"


def test_importing_the_backend_imports_no_lava():
    code = (
        "import sys; import delaytool.runtime.backends.lava as _; "
        "print(sorted(n for n in sys.modules if n.split('.')[0] == 'lava'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_our_tests_do_not_collide_with_the_package_that_lava_installs(tmp_path):
    """lava-nc and lava-dl both put a package `tests` into site-packages; ours run although one comes first."""
    package = tmp_path / "tests"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "unknown_variant"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert "1 passed" in done.stdout, done.stdout
