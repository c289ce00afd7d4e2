"""What a recipe decides about a chip's use, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Design:
    """A network before it is trained. The names are the recipe's (`delaytool.trainer.recipe`).

    n_channels            of the input, after channel_bins
    hidden                neurons of each hidden layer; n_classes: neurons of the readout
    kernel_count          taps per synapse, where delays are learned or fixed
    max_delay             steps; recurrent_max_delay: of synapses within a layer, None: the same
    delays                'learned', 'fixed-random', 'none' or 'dense'
    sparsities            share of the taps that do not exist, per layer, the readout's last
    recurrent             per hidden layer
    neuron                'lif', 'plif', 'cuba' or 'adaptive'
    quantize              the target through whose integers it is trained; None: trained in floats
    values                'count', 'binary' or 'graded'; max_payload: the largest value that a frame can hold
    payload_is_known      False where the largest count of the training part decides it
    n_steps               chip steps of a sample; None: the data decide it
    """

    n_channels: int
    hidden: tuple[int, ...]
    n_classes: int
    kernel_count: int = 1
    max_delay: int = 24
    recurrent_max_delay: int | None = None
    delays: str = "learned"
    sparsities: tuple[float, ...] = ()
    recurrent: tuple[bool, ...] = ()
    neuron: str = "lif"
    quantize: str | None = None
    values: str = "count"
    max_payload: int = 255
    payload_is_known: bool = True
    time_step_ms: float = 10.0
    n_steps: int | None = None

    def __post_init__(self) -> None:
        if not self.recurrent:
            object.__setattr__(self, "recurrent", (False,) * len(self.hidden))
        if not self.sparsities:
            object.__setattr__(self, "sparsities", (0.0,) * (len(self.hidden) + 1))

    def taps_for(self, max_delay: int) -> int:
        """Taps of one synapse: one with delays 'none', one for every delay with 'dense'."""
        if self.delays == "none":
            return 1
        return max_delay + 1 if self.delays == "dense" else self.kernel_count

    @property
    def within_max_delay(self) -> int:
        """Longest delay of synapses within a layer."""
        return self.max_delay if self.recurrent_max_delay is None else self.recurrent_max_delay
