"""What a run's analysis compares."""

import numpy as np
import torch

from delaytool.analysis.layer_structure import MoranSettings
from delaytool.analysis.run_analysis import AFTER, BEFORE, analyze_run
from delaytool.trainer.checkpoint import Checkpoint, signed_archive
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import load_recipe


def test_the_network_before_training_has_the_signs_that_training_kept(tmp_path):
    """Runs of earlier versions have others in recurrent layers with dale; none of the synapses changes its sign."""
    settings = ["model.hidden=[6]", "model.recurrent=true", "model.rewiring=deep-r", "model.sparsity=0.5"]
    recipe = load_recipe(
        "digits", [*settings, "model.dale=true", "trainer.epochs=1", "trainer.lr=1e-9", "trainer.delay_lr=0"]
    )
    train(recipe, tmp_path / "run")
    path, layer = tmp_path / "run" / "best.pt", "hidden1-recurrent"
    content = torch.load(path, weights_only=True)
    for name in ("hidden.0.recurrent.sign", "hidden.0.recurrent.weight"):
        content["model"][name] = -content["model"][name]
    path.write_bytes(signed_archive(content))
    assert torch.equal(Checkpoint.load(path).float_network().state_dict()[name], content["model"][name])
    found = analyze_run(tmp_path / "run", layers=[layer], settings=MoranSettings(permutations=9)).structure[layer]
    signs = [np.sign(found[stage].fields) for stage in (BEFORE, AFTER)]
    assert np.array_equal(*signs)
    assert set(np.unique(signs[0])) == {-1, 0, 1}
