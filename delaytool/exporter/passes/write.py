"""The network file, with where it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from delaytool.contract.network import IntegerNetwork


def write(network: IntegerNetwork, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> IntegerNetwork:
    """Save the network, whole or not at all, and return it with its provenance."""
    complete = replace(network, provenance=dict(provenance))
    complete.save(path)
    return complete
