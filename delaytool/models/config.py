"""The model part of a recipe: what the network is, before it has seen data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from delaytool.models.synapse_settings import Convolution, Delays, DelaysPer, Interpolation, Rewiring, SynapseSettings

# Neurons of a layer and layers of a network, beyond which a number is taken for a typing error.
MAX_NEURONS, MAX_LAYERS = 1_000_000, 100
Neuron = Literal["lif", "plif", "cuba", "adaptive"]
# What the integer contract has instead of a neuron's dynamics; '' where it has these.
_CONTRACT_HAS: dict[str, str] = {
    "lif": "",
    "plif": "",
    "cuba": "",
    "adaptive": "one constant threshold per layer, no state that raises it",
}


def why_no_integers(neuron: str) -> str:
    """Why no chip's integers hold such neurons, and which to train with instead; '' where they do."""
    if not _CONTRACT_HAS[neuron]:
        return ""
    *others, last = (repr(name) for name, lack in _CONTRACT_HAS.items() if not lack)
    return (
        f"model.neuron is {neuron!r}, and the integer contract has {_CONTRACT_HAS[neuron]}; train with model.neuron "
        f"{', '.join(others)} or {last}"
    )


class RecipeSection(BaseModel):
    """A part of a recipe: no unknown keys, no infinite numbers, and no true or false where a number belongs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        values = value if isinstance(value, (list, tuple)) else (value,)
        if bool not in kinds and kinds & {int, float} and any(isinstance(one, bool) for one in values):
            raise ValueError("give a number, not true or false")
        return value


def _kinds(annotation: Any) -> Iterator[Any]:
    """A type and those that it is made of: of `float | tuple[float, ...]` float is one."""
    yield annotation if isinstance(annotation, type) else None
    for part in get_args(annotation):
        yield from _kinds(part)


class ModelConfig(RecipeSection):
    """A network of spiking layers with a delay per synapse (arXiv 2306.17670), feed-forward by default."""

    hidden: tuple[Annotated[int, Field(ge=1, le=MAX_NEURONS)], ...] = Field(
        default=(256, 256), max_length=MAX_LAYERS, description="neurons of each hidden layer"
    )
    kernel_count: int = Field(
        default=1, ge=1, le=64, description="taps per synapse (m in nL-mKC), where delays are learned or random"
    )
    max_delay: int = Field(
        default=24, ge=0, le=4095, description="longest delay in steps; the kernel is one step longer"
    )
    delays: Delays = Field(
        default="learned",
        description="'fixed-random': rounded once, never trained; 'none': every delay 0, in a run as long as with "
        "max_delay; 'dense': a weight for every delay of every synapse",
    )
    delays_per: DelaysPer = Field(
        default="synapse",
        description="what has a delay of its own: each synapse, each presynaptic or each postsynaptic neuron",
    )
    interpolation: Interpolation = Field(
        default="gauss", description="shape of the bump around a delay while it is learned"
    )
    sparsity: float | tuple[float, ...] = Field(
        default=0.0,
        description="share of each layer's taps that do not exist; or one value per layer, the readout's last, of "
        "which 0 leaves a layer whole and not rewired",
    )
    rewiring: Rewiring = Field(
        default="none",
        description="'none': which taps exist is drawn once; else each keeps its sign, falls when its weight reaches "
        "zero, and another is grown for it: at random ('deep-r'), where the gradient is largest ('rigl'), or where it "
        "most asks for a weight of the tap's own sign ('rigl-signed')",
    )
    dale: bool = Field(
        default=False,
        description="rewired taps of one presynaptic neuron all have one sign, those within its recurrent layer too",
    )
    tau: float = Field(default=1.005, ge=1.0, le=4096.0, description="membrane time constant in steps")
    neuron: Neuron = Field(
        default="lif",
        description="'plif': tau is learned, one per layer; 'cuba': a current with a decay of its own before the "
        "membrane; 'adaptive': the threshold rises with every spike (no chip's contract holds it)",
    )
    tau_current: float = Field(
        default=2.0, ge=1.0, le=4096.0, description="of 'cuba': the current's time constant in steps; 1: no filter"
    )
    adaptation: float = Field(default=0.2, gt=0, description="of 'adaptive': what a spike adds to the threshold")
    tau_adaptation: float = Field(
        default=10.0, ge=1.0, description="of 'adaptive': time constant in steps with which that passes"
    )
    recurrent: bool | tuple[bool, ...] = Field(
        default=False, description="recurrent hidden layers, with delays; or one value per hidden layer"
    )
    recurrent_max_delay: int | None = Field(
        default=None, ge=0, le=4095, description="longest delay of recurrent synapses; default: max_delay"
    )
    threshold: float = Field(default=1.0, gt=0, description="membrane above which a neuron fires")
    surrogate_alpha: float = Field(default=5.0, gt=0, description="sharpness of the arctan surrogate")
    detach_reset: bool = Field(default=True, description="no gradient flows through the reset")
    batch_norm: bool = Field(default=True, description="normalize each neuron's input over time and batch")
    bias: bool = Field(default=False, description="synapses have a bias for each neuron")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="one mask for all time steps")
    timing: Literal["paper", "chip"] = Field(
        default="paper",
        description="'paper': a spike arrives after its delay, and each layer runs tail_steps longer than the one "
        "before it; 'chip': it takes one step more, and every layer runs the whole time, biases included, which is "
        "what the integer contract does",
    )
    tail_steps: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="steps that each layer adds to the run; default: half of max_delay",
    )
    convolution: Convolution = Field(
        default="auto", description="how spikes meet kernels; 'auto': the cheapest for sizes, width and input at hand"
    )
    discarded_mass: float = Field(
        default=1e-6, gt=0, lt=0.1, description="share of a tap that a window may leave out, for 'windowed' and 'auto'"
    )

    @field_validator("hidden", mode="before")
    @classmethod
    def _a_list(cls, hidden: Any) -> Any:
        if isinstance(hidden, int) and not isinstance(hidden, bool):
            raise ValueError(f"it is a list with a number per hidden layer: model.hidden=[{hidden}]")
        return hidden

    @field_validator("delays", mode="before")
    @classmethod
    def _former_name(cls, value: Any) -> Any:
        return "fixed-random" if value == "fixed" else value

    @field_validator("neuron")
    @classmethod
    def _tau_can_be_learned(cls, neuron: str, info: ValidationInfo) -> str:
        tau = info.data.get("tau")
        if neuron == "plif" and tau is not None and tau <= 1:
            raise ValueError(f"it learns tau from model.tau on, which must be above 1 (it is {tau}), for example 2")
        return neuron

    @field_validator("recurrent")
    @classmethod
    def _one_value_per_hidden_layer(
        cls, recurrent: bool | tuple[bool, ...], info: ValidationInfo
    ) -> bool | tuple[bool, ...]:
        hidden = info.data.get("hidden")
        if not isinstance(recurrent, bool) and hidden is not None and len(recurrent) != len(hidden):
            raise ValueError(f"{len(recurrent)} values for {len(hidden)} hidden layers; give one each, or one for all")
        return recurrent

    @field_validator("sparsity")
    @classmethod
    def _one_share_per_layer(
        cls, sparsity: float | tuple[float, ...], info: ValidationInfo
    ) -> float | tuple[float, ...]:
        for share in sparsity if isinstance(sparsity, tuple) else (sparsity,):
            if not 0 <= share < 1:
                raise ValueError(f"{share:g} is outside 0..1 (1 excluded)")
        hidden = info.data.get("hidden")
        if isinstance(sparsity, tuple) and hidden is not None and len(sparsity) != len(hidden) + 1:
            raise ValueError(
                f"{len(sparsity)} values for {len(hidden)} hidden layers and the readout; give one each, or one for all"
            )
        return sparsity

    @property
    def synapses(self) -> SynapseSettings:
        """What every layer of synapses is, but for a sparsity of its own: see `synapses_of`."""
        settings = {field.name: getattr(self, field.name) for field in fields(SynapseSettings)}
        return SynapseSettings(**(settings | {"sparsity": max(self.sparsities)}))

    def synapses_of(self, layer: int) -> SynapseSettings:
        """What the synapses of a layer (0 the first) are; `n_layers` - 1 is the readout.

        A layer whose own sparsity is 0 keeps all its taps, and free signs, whatever the others' rewiring.
        """
        share = self.sparsities[layer]
        if isinstance(self.sparsity, tuple) and share == 0:
            return replace(self.synapses, sparsity=share, rewiring="none", dale=False)
        return replace(self.synapses, sparsity=share)

    @property
    def sparsities(self) -> tuple[float, ...]:
        """Share of the taps that do not exist in each layer."""
        return self.sparsity if isinstance(self.sparsity, tuple) else (self.sparsity,) * self.n_layers

    @property
    def kernel_size(self) -> int:
        """Taps of a kernel (Td)."""
        return self.synapses.kernel_size

    @property
    def whole_kernels(self) -> bool:
        """Whether a synapse's weights are its kernel, so that there is no delay to place them."""
        return self.synapses.whole_kernels

    @property
    def taps_per_synapse(self) -> int:
        return self.synapses.taps_per_synapse

    @property
    def learns_delays(self) -> bool:
        return self.synapses.learns_delays

    @property
    def current_tau(self) -> float:
        """The current's time constant in steps; 1 where neurons have no current of their own."""
        return self.tau_current if self.neuron == "cuba" else 1.0

    def is_recurrent(self, layer: int) -> bool:
        """Whether a hidden layer (0 the first) is recurrent."""
        return self.recurrent if isinstance(self.recurrent, bool) else self.recurrent[layer]

    @property
    def has_recurrent_layers(self) -> bool:
        return any(self.is_recurrent(layer) for layer in range(len(self.hidden)))

    @property
    def recurrent_synapses(self) -> ModelConfig:
        """The recipe as it holds for recurrent synapses: their own longest delay, no bias."""
        longest = self.max_delay if self.recurrent_max_delay is None else self.recurrent_max_delay
        return self.model_copy(update={"max_delay": longest, "bias": False})

    @property
    def tail_per_layer(self) -> int:
        return self.max_delay // 2 if self.tail_steps is None else self.tail_steps

    @property
    def distinct_delays(self) -> bool:
        """Whether a synapse's fixed delays are all different: candidates among which structure chooses."""
        return self.synapses.distinct_delays

    @property
    def n_layers(self) -> int:
        """Hidden layers and the readout."""
        return len(self.hidden) + 1

    def steps_of(self, layer: int, n_frames: int) -> int:
        """Time steps that a layer runs (0 the first)."""
        if self.timing == "chip":
            return n_frames + self.n_layers * (self.tail_per_layer + 1)
        return n_frames + (layer + 1) * self.tail_per_layer

    def lateness_on_chip(self, layer: int) -> int:
        """The chip's step in which a layer does what it does in step 0 here."""
        return 0 if self.timing == "chip" else layer + 1
