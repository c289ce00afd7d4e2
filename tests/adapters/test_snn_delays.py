"""State dicts of the reference code, built here from dcls as that code builds them."""

import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

from delaytool.adapters.snn_delays import read_snn_delays
from delaytool.cli import main
from delaytool.errors import CheckpointError, RecipeError
from delaytool.experiments.import_run import checkpoint_of, recipe_of
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import load_data
from delaytool.trainer.recipe import load_recipe


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("digits", ["model.tau=1.5", "model.timing=paper"])


@pytest.fixture(scope="module")
def data(recipe):
    return load_data(recipe)


def reference_model(taps=1, norm=True, sizes=(64, 9, 8, 10), kernel=9, version="gauss", sigma=0.23):
    dcls = pytest.importorskip("DCLS.construct.modules", reason="the oracle dcls 0.1.1 is not installed")
    neuron = pytest.importorskip(
        "spikingjelly.activation_based.neuron", reason="the oracle spikingjelly 2.0.0 is not installed"
    )
    from spikingjelly.activation_based import layer

    torch.manual_seed(0)
    parts = []
    for index in range(len(sizes) - 1):
        synapses = dcls.Dcls1d(
            sizes[index], sizes[index + 1], kernel_count=taps, dilated_kernel_size=kernel, bias=False, version=version
        )
        torch.nn.init.normal_(synapses.weight, std=2 / sizes[index] ** 0.5)  # so that every layer fires
        torch.nn.init.uniform_(synapses.P, -(kernel // 2), kernel // 2)
        torch.nn.init.constant_(synapses.SIG, sigma)
        last = index == len(sizes) - 2
        parts.append(synapses)
        if norm and not last:
            batch_norm = layer.BatchNorm1d(sizes[index + 1], step_mode="m")
            batch_norm.running_mean.uniform_(-0.1, 0.1)
            batch_norm.running_var.uniform_(0.2, 0.5)
            parts.append(batch_norm)
        parts.append(
            neuron.LIFNode(
                tau=1.5, v_threshold=1e9 if last else 1.0, step_mode="m", decay_input=False, store_v_seq=True
            )
        )
        if not last:
            parts.append(layer.Dropout(0.4, step_mode="m"))
    wrapped = torch.nn.Module()
    wrapped.model = torch.nn.Sequential(*parts)
    return wrapped.eval()


def their_membrane(wrapped, frames, kernel=9, rounded=True):
    """What the reference code computes: as trained, or as it evaluates, with rounded positions and 'max' of sigma 0."""
    x = frames.float().transpose(0, 1)
    for part in wrapped.model:
        if hasattr(part, "reset"):
            part.reset()  # neurons of spikingjelly keep their membranes from one call to the next
    with torch.no_grad():
        for part in wrapped.model:
            if hasattr(part, "P"):
                if rounded:
                    part.P.round_()
                    part.SIG.zero_()
                    part.version = part.DCK.version = "max"
                padded = functional.pad(x.permute(1, 2, 0), (kernel - 1, (kernel - 1) // 2))
                x = part(padded).permute(2, 0, 1)
            elif hasattr(part, "running_mean"):
                x = part(x.unsqueeze(3)).squeeze(3)
            else:
                x = part(x)
    return wrapped.model[-1].v_seq


@pytest.mark.parametrize("taps", [1, 2])
@pytest.mark.parametrize("norm", [True, False])
def test_an_imported_network_computes_what_the_reference_code_does(taps, norm, recipe, data, tmp_path):
    wrapped = reference_model(taps, norm)
    torch.save(wrapped.state_dict(), tmp_path / "model.pt")
    model = read_snn_delays(tmp_path / "model.pt")
    assert model.sizes == (64, 9, 8, 10)
    ours = recipe_of(model, recipe, "gauss")
    assert ours.model.hidden == (9, 8)
    network = checkpoint_of(model, ours, data).network()
    frames = data.test.frames[:20]
    with torch.no_grad():
        membrane = network(frames)
    assert membrane.abs().max() > 0.1
    torch.testing.assert_close(membrane, their_membrane(wrapped, frames), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("version", "sigma"), [("gauss", 0.23), ("gauss", 2.0), ("max", 0.0), ("max", 1.7)])
def test_both_versions_compute_what_dcls_does_as_trained_and_rounded(version, sigma, recipe, data, tmp_path):
    wrapped = reference_model(taps=2, version=version, sigma=sigma)
    torch.save(wrapped.state_dict(), tmp_path / "model.pt")
    model = read_snn_delays(tmp_path / "model.pt")
    checkpoint = checkpoint_of(model, recipe_of(model, recipe, version), data)
    assert checkpoint.recipe.model.interpolation == version
    assert checkpoint.sigma == pytest.approx(sigma)
    frames, network = data.test.frames[:20], checkpoint.network()
    as_trained = their_membrane(wrapped, frames, rounded=False)
    with torch.no_grad():
        torch.testing.assert_close(network(frames, checkpoint.sigma), as_trained, rtol=1e-5, atol=1e-5)
        other = {"gauss": "max", "max": "gauss"}[version]
        mistaken = checkpoint_of(model, recipe_of(model, recipe, other), data).network()
        assert not torch.allclose(mistaken(frames, checkpoint.sigma), as_trained, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(network(frames), their_membrane(wrapped, frames), rtol=1e-5, atol=1e-5)


def test_the_state_dict_is_the_same_for_all_versions():
    gauss, other = (reference_model(version=version).state_dict() for version in ("gauss", "max"))
    assert {name: tensor.shape for name, tensor in gauss.items()} == {
        name: tensor.shape for name, tensor in other.items()
    }


def test_another_version_is_refused(recipe, tmp_path):
    torch.save(reference_model().state_dict(), tmp_path / "model.pt")
    with pytest.raises(RecipeError, match=r"interpolation 'triangle': .* choose one of gauss, max"):
        recipe_of(read_snn_delays(tmp_path / "model.pt"), recipe, "triangle")


def test_the_command_asks_for_the_version(tmp_path):
    torch.save(reference_model().state_dict(), tmp_path / "model.pt")
    common = [
        "import-snn-delays", str(tmp_path / "model.pt"), "--recipe", "digits", "--set", "model.tau=1.5",
        "-o", str(tmp_path / "run"),
    ]  # fmt: skip
    asked = CliRunner().invoke(main, common)
    assert asked.exit_code == 2
    assert "give --interpolation gauss or --interpolation max" in asked.output
    assert not (tmp_path / "run").exists()
    decided = CliRunner().invoke(main, [*common, "--interpolation", "max", "--set", "model.hidden=[3]"])
    assert decided.exit_code == 2
    assert "--set model.hidden=[3]: the file decides model.hidden" in decided.output
    assert not (tmp_path / "run").exists()
    made = CliRunner().invoke(main, [*common, "--interpolation", "max"])
    assert made.exit_code == 0, made.output
    assert Checkpoint.load(tmp_path / "run" / "best.pt").recipe.model.interpolation == "max"


def test_what_does_not_fit_is_named(recipe, data, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(reference_model(kernel=21).state_dict(), path)
    model = read_snn_delays(path)
    with pytest.raises(CheckpointError, match=r"positions reach .* set model\.max_delay"):
        checkpoint_of(model, recipe_of(model, recipe, "gauss"), data)
    torch.save(reference_model(sizes=(32, 9, 8, 10)).state_dict(), path)
    model = read_snn_delays(path)
    with pytest.raises(CheckpointError, match="the file has 32 inputs, the data 64"):
        checkpoint_of(model, recipe_of(model, recipe, "gauss"), data)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([1, 2], "not a state_dict"),
        ({"fc.weight": torch.zeros(2)}, "'fc.weight' is not one of an SNN-delays model"),
        ({"model.0.w": torch.zeros(2)}, "neither Dcls1d nor BatchNorm1d"),
        ({"model.0.weight": torch.full((2,), float("nan"))}, "NaN"),
        ({"model.0.weight": torch.zeros(2, 2, 1), "model.0.P": torch.zeros(1, 2, 2, 1), "model.0.SIG": torch.ones(1)},
         "1 Dcls1d layers"),
    ],
)  # fmt: skip
def test_foreign_files_are_named(content, expected, tmp_path):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(CheckpointError) as caught:
        read_snn_delays(tmp_path / "model.pt")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
