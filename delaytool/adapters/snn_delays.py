"""What Thvnvtos/SNN-delays saved (Dcls1d, BatchNorm1d and LIFNode in one nn.Sequential) as a float network."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from delaytool.errors import CheckpointError, RecipeError
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork
from delaytool.models.torch_file import read_torch_file, refuse_nan

INTERPOLATIONS = ("gauss", "max")  # the versions of Dcls1d that have a width


@dataclass(frozen=True)
class SnnDelaysModel:
    """A state_dict's parameters by place.

    convolutions   of each layer: weight (n_out, n_in, taps), P (n_out, n_in, taps), SIG, and bias where there is one
    norms          of each hidden layer, where there are: BatchNorm1d's parameters and running statistics
    """

    convolutions: tuple[Mapping[str, Tensor], ...]
    norms: tuple[Mapping[str, Tensor], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of the input, of each hidden layer, and classes."""
        return (self.convolutions[0]["weight"].shape[1], *(layer["weight"].shape[0] for layer in self.convolutions))

    @property
    def taps(self) -> int:
        return self.convolutions[0]["weight"].shape[2]

    @property
    def sigma(self) -> float:
        """The width that it was last trained with."""
        return float(self.convolutions[-1]["SIG"].abs().flatten()[0])


def read_snn_delays(path: str | os.PathLike[str]) -> SnnDelaysModel:
    """The parameters in a state_dict's file. Raises CheckpointError for a file of another kind."""
    state = read_torch_file(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(
            f"{path}: not a state_dict (names and tensors); give what torch.save(model.state_dict()) wrote"
        )
    refuse_nan(state, path)
    places: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        parts = key.split(".")
        if len(parts) != 3 or parts[0] != "model" or not parts[1].isdecimal():
            raise CheckpointError(f"{path}: parameter {key!r} is not one of an SNN-delays model ('model.<i>.<name>')")
        places[int(parts[1])][parts[2]] = tensor
    convolutions, norms = [], []
    for index in sorted(places):
        names = places[index]
        if "P" in names:
            convolutions.append({**names, "P": names["P"].squeeze(0)})
        elif "running_mean" in names:
            norms.append(names)
        else:
            raise CheckpointError(
                f"{path}: model.{index} has {', '.join(sorted(names))}: neither Dcls1d nor BatchNorm1d; networks with "
                "learned time constants (plif) or stateful synapses cannot be imported"
            )
    _check(path, convolutions, norms)
    return SnnDelaysModel(tuple(convolutions), tuple(norms))


def _check(path: str | os.PathLike[str], convolutions: list[dict[str, Tensor]], norms: list[dict[str, Tensor]]) -> None:
    if len(convolutions) < 2:
        raise CheckpointError(f"{path}: {len(convolutions)} Dcls1d layers; a network has at least 2, hidden and output")
    if len(norms) not in (0, len(convolutions) - 1):
        raise CheckpointError(
            f"{path}: {len(norms)} batch norms for {len(convolutions) - 1} hidden layers; all or none"
        )
    for index, layer in enumerate(convolutions):
        if "SIG" not in layer:
            raise CheckpointError(
                f"{path}: Dcls1d {index} has no SIG; only the versions 'gauss' and 'max' can be imported"
            )
        if index and layer["weight"].shape[1] != convolutions[index - 1]["weight"].shape[0]:
            raise CheckpointError(
                f"{path}: Dcls1d {index} reads {layer['weight'].shape[1]} neurons, the layer before it has "
                f"{convolutions[index - 1]['weight'].shape[0]}"
            )


def settings_of(model: SnnDelaysModel, interpolation: str) -> dict[str, Any]:
    """What the file decides of a recipe's model part: layers, taps, batch norm and bias, and what it cannot have.

    interpolation: 'gauss' or 'max', the version of the file's Dcls1d layers. Their state_dict does not hold it:
    both have the same names and shapes. Raises RecipeError for another one.
    """
    if interpolation not in INTERPOLATIONS:
        raise RecipeError(
            f"interpolation {interpolation!r}: Dcls1d of this version has no SIG; choose one of "
            f"{', '.join(INTERPOLATIONS)}"
        )
    return {
        "hidden": list(model.sizes[1:-1]),
        "kernel_count": model.taps,
        "batch_norm": bool(model.norms),
        "bias": "bias" in model.convolutions[0],
        "interpolation": interpolation,
        "delays": "learned",
        "timing": "paper",
        "sparsity": 0.0,
        "rewiring": "none",
        "dale": False,
        "neuron": "lif",
        "delays_per": "synapse",
        "recurrent": False,
    }


def network_of(model: SnnDelaysModel, config: ModelConfig) -> DelayNetwork:
    """The model as a float network, in evaluation mode: a position P is the delay Td // 2 - P.

    config: with the `settings_of` the model. Raises RecipeError for an odd max_delay, CheckpointError where the
    positions reach beyond it.
    """
    size = config.kernel_size
    if size % 2 == 0:
        raise RecipeError(
            f"model.max_delay: {size - 1} is a kernel of {size} taps; SNN-delays' are odd, choose an even max_delay"
        )
    half = size // 2
    reach = max(float(layer["P"].abs().max()) for layer in model.convolutions)
    if reach > half + 1e-4:
        raise CheckpointError(
            f"positions reach {reach:g}, beyond the {half} of a kernel of {size} taps; "
            f"set model.max_delay to what it was trained with (at least {2 * math.ceil(reach)})"
        )
    parameters: dict[str, Tensor] = {}
    for index, layer in enumerate(model.convolutions):
        last = index == len(model.convolutions) - 1
        prefix = "readout." if last else f"hidden.{index}.synapses."
        parameters[f"{prefix}weight"] = layer["weight"].float()
        parameters[f"{prefix}delay"] = (half - layer["P"].float()).clamp(0, size - 1)
        if "bias" in layer:
            parameters[f"{prefix}bias"] = layer["bias"].float()
    for index, norm in enumerate(model.norms):
        parameters |= {f"hidden.{index}.norm.{name}": tensor for name, tensor in norm.items()}
    network = DelayNetwork(model.sizes[0], model.sizes[-1], config)
    try:
        network.load_state_dict(parameters)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(f"the file's parameters are not those of its layers ({reason})") from None
    return network.eval()
