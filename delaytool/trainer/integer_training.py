"""Where training through a chip's integers begins."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import RecipeError
from delaytool.hw_configs import load_target
from delaytool.models.config import why_no_integers
from delaytool.models.delay_network import DelayNetwork
from delaytool.quantization.choose_scale import SilentLayerError
from delaytool.quantization.choose_training_scales import choose_training_scales
from delaytool.quantization.scales import IntegerScales
from delaytool.runtime.backends.torch import run_layer
from delaytool.trainer.batch_norm_statistics import pass_over
from delaytool.trainer.parallel import Team
from delaytool.trainer.recipe import Recipe

CALIBRATION_SAMPLES = 128


def refuse_what_the_chip_lacks(recipe: Recipe, encoding: InputEncoding) -> None:
    """Raise RecipeError, before anything is trained, for what the chip can never hold."""
    if recipe.trainer.quantize is None:
        return
    target = load_target(recipe.trainer.quantize)
    longest, payload = target.limits.delay_max, target.limits.payload_max
    if recipe.model.kernel_size - 1 > longest:  # without delays max_delay is a length of the run
        raise RecipeError(
            f"model.max_delay: {recipe.model.max_delay} exceeds {target.name}'s {longest}, through whose integers "
            f"trainer.quantize trains; train with --max-delay {longest} or without trainer.quantize"
        )
    if why := why_no_integers(recipe.model.neuron):
        raise RecipeError(f"{why}, of which trainer.quantize takes only 'lif'; or train without it, for floats alone")
    if recipe.model.neuron != "lif":
        raise RecipeError(
            f"model.neuron: {recipe.model.neuron!r} is not trained through integers, only 'lif' is; train without "
            "trainer.quantize and export afterwards"
        )
    if recipe.model.has_recurrent_layers:
        raise RecipeError(
            "model.recurrent: recurrent layers are not trained through integers; train without "
            "trainer.quantize and export afterwards"
        )
    if encoding.max_payload > payload:
        raise RecipeError(
            f"input: a value can reach {encoding.max_payload}, {target.name} sends {payload}; train with a smaller "
            "data.max_count (data.input_bits, where data.values is graded) or without trainer.quantize"
        )


def scales_to_train_through(
    recipe: Recipe,
    model: DelayNetwork,
    encoding: InputEncoding,
    frames: Tensor,
    team: Team,
    progress: Callable[[str, int, int], None],
) -> IntegerScales:
    """Settle batch norm on single taps and choose the integer scales that the rest of training keeps.

    frames (sample, time, channel): the training part; some of it calibrates, so that validation stays unseen.
    Raises RecipeError where a hidden layer never fires on it, ExportError where the chip cannot hold the network.
    """
    assert recipe.trainer.quantize is not None
    torch.manual_seed((recipe.seed + 1) * 1_000_003 - 1)  # before the seed of epoch 0, which no epoch draws from
    order = torch.randperm(len(frames)).to(frames.device)
    # The running statistics are about to be frozen.
    pass_over(model, frames, order, recipe.trainer.batch_size, team)
    calibration = frames[order[:CALIBRATION_SAMPLES]].cpu().numpy()
    target = load_target(recipe.trainer.quantize)
    try:
        scales = choose_training_scales(model, encoding, target, calibration, run_layer, progress)
    except SilentLayerError as silent:
        config = recipe.trainer
        raise RecipeError(
            f"layer {silent.layer}: it never fires where training through {target.name}'s integers begins, after "
            f"{config.first_quantized_epoch} of {config.epochs} epochs, so nothing reaches the readout; train anew "
            f"with a smaller model.threshold (now {recipe.model.threshold:g}), or with a smaller "
            f"trainer.quantize_epochs (now {config.quantize_epochs:g}), which begins later"
        ) from None
    return team.gather(scales)[0]  # should processes' last bits differ, their scales do not
