"""How a layer's floats become integers: its scale, and the scales of a whole network that is trained through them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from delaytool.contract.bounds import STATE_SHIFT
from delaytool.hw_configs import Target, load_target


@dataclass(frozen=True)
class Scale:
    """How a layer's floats become integers.

    per_unit        what 1.0 becomes, the exponent included: weight << exponent = per_unit * float weight
    exponent        of the weights
    threshold       mantissa
    bias_exponent   None: the smallest that holds every bias
    """

    per_unit: float
    exponent: int
    threshold: int
    bias_exponent: int | None = None

    @property
    def state_unit(self) -> float:
        """What 1.0 becomes in units of u and v."""
        return self.per_unit * (1 << STATE_SHIFT)


@dataclass(frozen=True)
class IntegerScales:
    """The integers that a network is trained through: a target's, with a scale for every layer, in order."""

    target: Target
    scales: tuple[Scale, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; of the target its name."""
        return {"target": self.target.name, "scales": [asdict(scale) for scale in self.scales]}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> IntegerScales:
        """Raises ExportError for a target that is unknown, KeyError and TypeError for other values."""
        return IntegerScales(load_target(values["target"]), tuple(Scale(**scale) for scale in values["scales"]))
