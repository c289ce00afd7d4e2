"""What files, digests and limits read of a network: an `IntegerNetwork` has it all, and is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout


class NetworkParts(Protocol):
    """What limits are about, of an `IntegerNetwork`."""

    @property
    def encoding(self) -> InputEncoding: ...
    @property
    def layers(self) -> tuple[IntegerLayer, ...]: ...
    @property
    def target(self) -> str: ...


class NetworkNumbers(NetworkParts, Protocol):
    """What decides the spikes, currents, membranes and classes that an `IntegerNetwork` computes."""

    @property
    def readout(self) -> Readout: ...
    @property
    def n_steps(self) -> int: ...


class NetworkContent(NetworkNumbers, Protocol):
    """All that a file holds of an `IntegerNetwork`."""

    @property
    def provenance(self) -> Mapping[str, Any]: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def export(self) -> Mapping[str, Any]: ...
    @property
    def extensions(self) -> Mapping[str, Mapping[str, Any]]: ...
    def integers_sha256(self) -> str: ...
