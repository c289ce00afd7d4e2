"""Let lava-nc 0.10 be imported on Python 3.11 and later.

lava-nc declares Python < 3.11. One line is why: a dataclass in `lava/magma/compiler/var_model.py` has an instance
of another, unhashable dataclass as a default. Python 3.11 began to refuse unhashable defaults; up to 3.10 it
refused only lists, dicts and sets. Nothing ever changes that default, so giving the classes of that one module
Python's ordinary identity hash, while it is imported, restores what 3.10 did and nothing else.

Only the worker process applies this, so no other code meets the patched module.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys

_MODULE = "lava.magma.compiler.var_model"


def apply() -> None:
    """Import Lava's var_model under the patch; does nothing before Python 3.11. Raises ImportError without Lava."""
    if sys.version_info < (3, 11) or _MODULE in sys.modules:
        return
    original = dataclasses.dataclass

    def tolerant(cls=None, /, **options):
        if cls is None:
            return lambda decorated: tolerant(decorated, **options)
        made = original(cls, **options)
        if made.__module__ == _MODULE and made.__hash__ is None:
            made.__hash__ = object.__hash__
        return made

    dataclasses.dataclass = tolerant
    try:
        importlib.import_module("lava.magma.compiler.var_model")
    finally:
        dataclasses.dataclass = original
