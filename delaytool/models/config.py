"""The model part of a recipe: what the network is, before it has seen data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ModelConfig(BaseModel):
    """A feed-forward network of LIF layers with a delay per synapse (arXiv 2306.17670)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: tuple[int, ...] = Field(default=(256, 256), description="neurons of each hidden layer")
    kernel_count: int = Field(
        default=1, ge=1, le=64, description="taps a synapse (m in nL-mKC), where delays are learned or random"
    )
    max_delay: int = Field(default=24, ge=0, le=4095, description="longest delay in steps; the kernel has one tap more")
    delays: Literal["learned", "fixed-random", "none", "dense"] = Field(
        default="learned",
        description="'fixed-random': rounded once, never trained; 'none': every delay 0, in a run as long as with "
        "max_delay; 'dense': a weight for every delay of every synapse",
    )
    interpolation: Literal["gauss", "triangle", "max", "laplace"] = "gauss"
    sparsity: float = Field(default=0.0, ge=0.0, lt=1.0, description="share of each layer's taps that do not exist")
    rewiring: Literal["none", "deep-r", "rigl", "rigl-signed"] = Field(
        default="none",
        description="'none': which taps exist is drawn once; else each keeps its sign, falls when its weight reaches "
        "zero, and another is grown for it: at random ('deep-r'), where the gradient is largest ('rigl'), or where it "
        "most asks for a weight of the tap's own sign ('rigl-signed')",
    )
    dale: bool = Field(default=False, description="rewired taps of one presynaptic neuron all have one sign")
    tau: float = Field(default=1.005, ge=1.0, le=4096.0, description="membrane time constant in steps")
    threshold: float = Field(default=1.0, gt=0)
    surrogate_alpha: float = Field(default=5.0, gt=0, description="sharpness of the arctan surrogate")
    detach_reset: bool = True
    batch_norm: bool = True
    bias: bool = False
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="one mask for all time steps")
    timing: Literal["paper", "chip"] = Field(
        default="paper",
        description="'paper': a spike arrives after its delay, and each layer runs tail_steps longer than the one "
        "before it; 'chip': it takes one step more, and every layer runs the whole time, biases included, which is "
        "what the integer contract does",
    )
    tail_steps: int | None = Field(
        default=None, ge=0, description="steps that each layer adds to the run; default: half of max_delay"
    )
    convolution: Literal["auto", "direct", "fft", "windowed", "events"] = Field(
        default="auto", description="how spikes meet kernels; 'auto': the cheapest for sizes, width and input at hand"
    )
    discarded_mass: float = Field(
        default=1e-6, gt=0, lt=0.1, description="share of a tap that a window may leave out, for 'windowed' and 'auto'"
    )

    @field_validator("delays", mode="before")
    @classmethod
    def _former_name(cls, value: Any) -> Any:
        return "fixed-random" if value == "fixed" else value

    @property
    def kernel_size(self) -> int:
        """Taps of a kernel (Td)."""
        return 1 if self.delays == "none" else self.max_delay + 1

    @property
    def whole_kernels(self) -> bool:
        """Whether a synapse's weights are its kernel, so that there is no delay to place them."""
        return self.delays in ("none", "dense")

    @property
    def taps_per_synapse(self) -> int:
        return self.kernel_size if self.whole_kernels else self.kernel_count

    @property
    def learns_delays(self) -> bool:
        return self.delays == "learned" and self.max_delay > 0

    @property
    def tail_per_layer(self) -> int:
        return self.max_delay // 2 if self.tail_steps is None else self.tail_steps

    @property
    def distinct_delays(self) -> bool:
        """Whether a synapse's fixed delays are all different: candidates among which structure chooses."""
        return self.rewiring != "none" and self.delays == "fixed-random"

    @property
    def grows_by_gradient(self) -> bool:
        """Whether taps that do not exist need a gradient."""
        return self.rewiring in ("rigl", "rigl-signed")

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
