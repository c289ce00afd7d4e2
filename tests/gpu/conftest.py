"""Tests of what an NVIDIA GPU computes; they skip where there is none.

`DELAYTOOL_GPU_TESTS_ON=cpu` runs them on the CPU instead, which shows that the tests themselves are right; `--one-case`
runs only the first case of each test.
"""

import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `oracles`, also where this folder is run by itself

ON = os.environ.get("DELAYTOOL_GPU_TESTS_ON", "cuda")


def pytest_addoption(parser):
    parser.addoption("--one-case", action="store_true", help="only the first case of each test")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--one-case", default=False):
        first = {}
        for item in items:
            first.setdefault((item.path, item.originalname), item)
        items[:] = first.values()


@pytest.fixture(autouse=True)
def device():
    """The device of the tests, with full float32 precision in every library."""
    if ON == "cuda" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield torch.device(ON)
    torch.backends.cudnn.allow_tf32 = allowed
