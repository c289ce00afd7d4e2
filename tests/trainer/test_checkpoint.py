"""Checkpoints that cannot be used are named in one line."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from delaytool.errors import CheckpointError, DelaytoolError
from delaytool.trainer.checkpoint import Checkpoint, signed_archive
from delaytool.trainer.loop import train

OLD = Path(__file__).parents[1] / "fixtures" / "run-without-digests" / "last.pt"


@pytest.fixture(scope="module")
def trained(tiny_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(tiny_recipe.model_copy(update={"trainer": tiny_recipe.trainer.model_copy(update={"epochs": 1})}), folder)
    return folder


@pytest.fixture
def saved(trained, tmp_path):
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run")) / "best.pt"


def test_it_is_read_without_running_code(saved):
    content = torch.load(saved, weights_only=True)
    assert content["schema"] == "delaytool-checkpoint"


def altered(path, **changes):
    content = torch.load(path, weights_only=True)
    content.update(changes)
    path.write_bytes(signed_archive(content))


def test_another_schema_version(saved):
    altered(saved, schema_version=99)
    with pytest.raises(CheckpointError, match="schema version 99 is unknown"):
        Checkpoint.load(saved)


def test_a_foreign_file(saved):
    torch.save({"weights": torch.zeros(3)}, saved)
    with pytest.raises(CheckpointError, match="not a delaytool checkpoint"):
        Checkpoint.load(saved)


def test_nan(saved):
    model = torch.load(saved, weights_only=True)["model"]
    model["readout.weight"][0, 0, 0] = float("nan")
    altered(saved, model=model)
    with pytest.raises(CheckpointError, match=r"readout\.weight has 1 values that are NaN"):
        Checkpoint.load(saved)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_unreadable(saved, content):
    saved.write_bytes(saved.read_bytes()[:1000] if content is None else content)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(saved)
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        Checkpoint.load(tmp_path / "none.pt")


def test_parameters_that_do_not_fit_the_recipe(saved):
    model = torch.load(saved, weights_only=True)["model"]
    model["readout.weight"] = model["readout.weight"][:, :3]
    altered(saved, model=model)
    with pytest.raises(CheckpointError, match="do not fit its recipe"):
        Checkpoint.load(saved).network()


def test_no_single_changed_byte_makes_another_checkpoint(saved):
    whole = saved.read_bytes()
    rng = np.random.default_rng(0)
    # All of the ZIP archive's end and of the digest, and places everywhere.
    places = {*range(len(whole) - 200, len(whole)), *range(40), *rng.integers(0, len(whole), 800).tolist()}
    for place in places:
        other = (whole[place] + int(rng.integers(1, 256))) % 256
        saved.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
        with pytest.raises(CheckpointError) as caught:
            Checkpoint.load(saved)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_cut_short(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="damaged") as caught:
        Checkpoint.load(saved)
    assert "\n" not in str(caught.value)


def test_the_digest_can_be_computed_and_the_file_read_without_delaytool(saved):
    whole = saved.read_bytes()
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        word, name, digest = archive.comment.decode().split()
    assert (word, name) == ("delaytool", "sha256")
    assert hashlib.sha256(whole[: -len(archive.comment)]).hexdigest() == digest
    assert torch.load(saved, weights_only=True)["schema_version"] == 2


def test_without_its_digest_a_checkpoint_of_this_version_is_refused(saved):
    torch.save(torch.load(saved, weights_only=True), saved)
    with pytest.raises(CheckpointError, match="lacks the SHA-256 at its end; the checkpoint is damaged"):
        Checkpoint.load(saved)


def test_checkpoints_of_earlier_versions_are_read_and_called_unsigned(saved):
    assert not Checkpoint.load(OLD).is_signed
    assert Checkpoint.load(saved).is_signed
    assert Checkpoint.load(OLD).network().n_parameters() > 0


def test_an_earlier_checkpoint_with_a_changed_byte_never_gives_a_traceback(tmp_path):
    whole = OLD.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for place in rng.integers(0, len(whole), 400):
        other = (whole[place] + int(rng.integers(1, 256))) % 256
        (tmp_path / "a.pt").write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
        try:
            Checkpoint.load(tmp_path / "a.pt").network()
        except DelaytoolError:  # anything else fails the test
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("n_classes", [0, -1, 2.0, "20", None, True, 2**40, [20]]),
        ("epoch", [-1, 1.5, "1", None, True, 2**70]),
        ("sigma", [-0.5, float("nan"), float("inf"), "0.5", True, [0.5]]),
        ("split", [None, 3, ["honest"]]),
        ("model", [None, [], {"readout.weight": 3}, {3: torch.zeros(3)}, {}]),
        ("optimizers", [None, {}, [3], [None]]),
        ("progress", [None, [], {"accuracy": "1"}, {"accuracy": float("nan")}, {"epoch": -1}, {"sigma": 3},
                      {"loss": None}, {"sigma": {"width": "wide"}}, {3: 4}]),
        ("recipe", [None, "", "[]", "{", '{"name": 3}', 3, "1" * 5000]),
        ("encoding", [None, "", "[]", "{", '{"n_units": "3"}', '{"n_units": -1}', 3, "[" * 5000]),
        ("grid", ["", "[]", "{", "{}", 3, '{"target": 3}']),
    ],
)  # fmt: skip
def test_plain_values_of_a_wrong_type_or_range(saved, field, values):
    whole = saved.read_bytes()
    for value in values:
        saved.write_bytes(whole)
        altered(saved, **{field: value})
        with pytest.raises(DelaytoolError) as caught:
            Checkpoint.load(saved).network()
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


def test_integers_of_a_chip_that_is_not_known_name_it_and_the_known_ones(saved):
    altered(saved, grid='{"target": "abacus", "scales": []}')
    with pytest.raises(CheckpointError, match=r"target 'abacus' is unknown; choose one of .*loihi2.*; or install"):
        Checkpoint.load(saved)


@pytest.mark.parametrize("place", ["model", "optimizers"])
@pytest.mark.parametrize(
    "tensor", [torch.zeros(1).expand(2**20, 2**12), torch.zeros(3, 3).to_sparse()], ids=["stretched", "sparse"]
)
def test_a_tensor_that_is_not_stored_value_by_value_is_refused(saved, place, tensor):
    """A few kilobytes took 16 GiB as soon as it was computed with."""
    content = torch.load(saved, weights_only=True)
    (content["model"] if place == "model" else content["optimizers"][0])["x"] = tensor
    saved.write_bytes(signed_archive(content))
    with pytest.raises(CheckpointError, match="is not stored value by value"):
        Checkpoint.load(saved)


@pytest.mark.parametrize("field", ["n_classes", "model", "recipe", "split", "progress"])
def test_a_missing_field_is_named(saved, field):
    content = torch.load(saved, weights_only=True)
    del content[field]
    saved.write_bytes(signed_archive(content))
    with pytest.raises(CheckpointError, match=f"lacks '{field}'; the checkpoint is damaged"):
        Checkpoint.load(saved)


def test_a_network_of_another_size_is_refused_before_it_is_made(saved):
    """2^30 classes would be terabytes."""
    altered(saved, n_classes=2**30)
    with pytest.raises(CheckpointError, match=r"readout\.weight is of shape .*, not \(1073741824, 10, 1\)"):
        Checkpoint.load(saved).network()


def test_a_state_that_does_not_fit_is_refused_when_training_goes_on(saved):
    content = torch.load(saved, weights_only=True)
    for optimizers in (content["optimizers"][:1], [{}, {}], [{"optimizer": 3, "schedule": 4}] * 2):
        altered(saved.with_name("last.pt"), optimizers=optimizers)
        with pytest.raises(CheckpointError, match="the checkpoint's state does not fit its recipe"):
            train(None, saved.parent, resume=True)
