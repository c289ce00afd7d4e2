"""Triton's compiler takes every kernel, without a GPU; in a process of its own, since other tests interpret them."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(platform.system() != "Linux", reason="Triton is for Linux")
def test_every_kernel_compiles_for_a_card():
    pytest.importorskip("triton", reason="the package triton, for Linux, is not installed")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    script = Path(__file__).parent / "triton_compiles.py"
    result = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 5 * 2
