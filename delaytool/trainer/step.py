"""One training step: a batch forward, backward, and both optimizers; launched one by one or as a recorded graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.quantization.integer_training import IntegerTraining, TrainedNetwork
from delaytool.trainer.augmentation import augmented
from delaytool.trainer.data import Part
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.parallel import Team
from delaytool.trainer.rate_target import TracedNetwork, firing_rates, rate_penalty
from delaytool.trainer.recipe import TrainerConfig
from delaytool.trainer.rewiring import Rewiring

Recorder = Callable[[Callable[[], None]], Callable[[], None]]


class Step:
    """Batches of one part through a network. Nothing here waits for the device."""

    def __init__(
        self, model: DelayNetwork, optimizers: Optimizers, part: Part, config: TrainerConfig, team: Team
    ) -> None:
        self.model, self.optimizers, self.part, self.config, self.team = model, optimizers, part, config, team
        self.rewiring = Rewiring(model, optimizers)
        self._highest = int(part.frames.max()) if config.blend else 255
        self._rate_penalties = torch.zeros((), device=part.labels.device)  # summed over samples
        self._trained = self._run_through(model)
        self._joined: nn.Module = team.joined(self._trained)
        self._moves_delays = True

    def begin_epoch(self) -> None:
        """Rates and widths may change now."""

    def train_through(self, integers: IntegerTraining) -> None:
        """From the next batch on, train the model through a chip's integers. Call it before `begin_epoch`."""
        self._trained = self._run_through(integers)
        self._moves_delays = False
        self._joined = self.team.joined(self._trained, all_learn=False)

    def _run_through(self, network: TrainedNetwork) -> nn.Module:
        return network if self.config.rate_target is None else TracedNetwork(network)

    def take_rate_penalties(self) -> float:
        """`rate_penalty`, summed over the samples that were run since the last call. It waits for the device."""
        total = float(self._rate_penalties)
        self._rate_penalties.zero_()
        return total

    def run(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """One batch, of the samples `chosen`: (loss, correct answers) of this process's share, on the device.

        The model's sigma is the batch's. The loss is the share's sum, divided so that the mean over all processes is
        the batch's mean loss.
        """
        config = self.config
        moves_delays = self.model.sigma is not None
        if moves_delays != self._moves_delays:
            self._moves_delays = moves_delays
            self._joined = self.team.joined(self._trained, all_learn=moves_delays)
        # Random numbers are the whole batch's, so that it does not matter how many processes share it.
        labels = self.part.labels[chosen]
        frames, targets = augmented(self.part.frames[chosen], labels, self.model.n_classes, config, self._highest)
        rows = self.team.rows(len(chosen))
        self.optimizers.zero_grad()
        with self.model.share_of_batch(rows, len(chosen)):
            out = self._joined(frames[rows])
        spikes, membrane = ([], out) if config.rate_target is None else out
        scores = class_scores(membrane)
        weight = self.team.size / len(chosen)
        loss = functional.cross_entropy(scores, targets[rows], reduction="sum") * weight
        self._regularized(loss, spikes, len(chosen)).backward()
        self.rewiring.before_step()
        self.optimizers.step(move_delays=moves_delays)
        self.rewiring.after_step()
        return loss.detach(), (scores.detach().argmax(1) == labels[rows]).sum()

    def _regularized(self, loss: Tensor, spikes: list[Tensor], samples: int) -> Tensor:
        """The loss and what the recipe adds to it; spikes are of the hidden layers, needed for a rate target only."""
        config = self.config
        if config.l1:
            loss = loss + config.l1 * self.model.l1_norm()
        if config.rate_target is not None:
            penalty = rate_penalty(firing_rates(spikes, samples, self.team), *config.rate_target)
            self._rate_penalties += penalty.detach() * samples
            # Gradients are averaged over processes, and each has the one of its share of the spikes.
            loss = loss + config.rate_weight * self.team.size * penalty
        return loss


class RecordedStep(Step):
    """The same, recorded once per epoch and replayed: thousands of small launches become one.

    `record` takes a function whose work is the same every time and returns what repeats that work. It may run the
    function never or once while it records, but it must not do its work then. Rates and sigma are written into the
    record, so each epoch makes its own. The first batches of a run, the first of every epoch, and any batch of another
    size are launched one by one, which also makes the buffers that only a first call makes. Where recording fails with
    a RuntimeError, a warning gives the reason, and the run goes on launching.
    """

    WARM_UP = 3

    def __init__(
        self,
        model: DelayNetwork,
        optimizers: Optimizers,
        part: Part,
        config: TrainerConfig,
        team: Team,
        record: Recorder,
    ) -> None:
        super().__init__(model, optimizers, part, config, team)
        self._record = record
        self._left = self.WARM_UP
        self._chosen = torch.zeros(config.batch_size, dtype=torch.long, device=part.labels.device)
        self._results: tuple[Tensor, Tensor] | None = None
        self._replay: Callable[[], None] | None = None
        self._is_current = False  # whether the record has this epoch's rates and width
        self._failed = False

    def begin_epoch(self) -> None:
        # The old record stays until the new one is made: it keeps the pool of memory that both share.
        self._is_current = False
        self._left = max(self._left, 1)

    def run(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        if self._failed or self._left > 0 or len(chosen) != len(self._chosen):
            self._left -= 1
            return super().run(chosen)
        self._chosen.copy_(chosen)
        if not self._is_current:
            # Gradients are made anew inside the record, so that every replay has them at the same address.
            self.optimizers.zero_grad()
            try:
                self._replay = self._record(self._work)
            except RuntimeError as error:
                self._failed, self._replay = True, None
                warnings.warn(f"steps are launched one by one, as recording one failed: {error}", stacklevel=2)
                return super().run(chosen)
            self._is_current = True
        assert self._replay is not None
        self._replay()
        assert self._results is not None
        loss, hits = self._results
        return loss.clone(), hits.clone()

    def _work(self) -> None:
        self._results = super().run(self._chosen)


def cuda_recorder() -> Recorder:
    """Records with CUDA graphs, all in one pool of memory."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        state = generator.get_state()
        try:
            with torch.cuda.graph(graph, pool=pool):
                work()
        except RuntimeError:
            # A recording that failed leaves the generator as if it went on, so that it would draw nothing more.
            generator.graphsafe_set_state(torch.Generator("cuda").graphsafe_get_state())
            generator.set_state(state)
            raise
        return graph.replay

    return record


def make_step(model: DelayNetwork, optimizers: Optimizers, part: Part, config: TrainerConfig, team: Team) -> Step:
    """Recorded on one NVIDIA GPU, unless the recipe sets cuda_graphs to false; launched one by one elsewhere."""
    if part.labels.device.type == "cuda" and config.cuda_graphs and team.size == 1:
        return RecordedStep(model, optimizers, part, config, team, cuda_recorder())
    return Step(model, optimizers, part, config, team)
