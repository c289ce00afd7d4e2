"""The whole exporter: the file, its report, and nothing half-written."""

import json

import numpy as np
import pytest

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import ExportError
from delaytool.exporter.compile import export
from delaytool.hw_configs import load_target
from delaytool.runtime import reference


def test_the_file_holds_the_network_and_where_it_came_from(make_model, frames, tmp_path):
    model, encoding = make_model()
    path = tmp_path / "net.h5"
    done = export(model, encoding, load_target("loihi2"), path, frames, provenance={"recipe_sha256": "abc"})
    loaded = IntegerNetwork.load(path)
    for ours, theirs in zip(reference.run(done.network, frames).v, reference.run(loaded, frames).v, strict=True):
        assert np.array_equal(ours, theirs)
    assert loaded.provenance["recipe_sha256"] == "abc"
    assert loaded.target == "loihi2"
    report = loaded.provenance["layers"]
    assert json.loads(json.dumps(report)) == report == [layer.as_dict() for layer in done.layers]
    for line, layer in zip(report, loaded.layers, strict=True):
        assert sum(line["delay_histogram"]) == line["synapses"] == layer.n_synapses
        assert line["current_reach"] < 1


def test_the_same_input_gives_the_same_bytes_of_numbers(make_model, frames, tmp_path):
    model, encoding = make_model()
    one = export(model, encoding, load_target("loihi2"), tmp_path / "a.h5", frames).network
    other = export(model, encoding, load_target("loihi2"), tmp_path / "b.h5", frames).network
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        assert np.array_equal(ours.synapses[0].weight, theirs.synapses[0].weight)
        assert (ours.threshold, ours.dv, ours.bias_exponent) == (theirs.threshold, theirs.dv, theirs.bias_exponent)


def test_a_refused_export_leaves_nothing_behind(make_model, frames, tmp_path):
    model, encoding = make_model(max_delay=70)
    with pytest.raises(ExportError):
        export(model, encoding, load_target("loihi2"), tmp_path / "net.h5", frames)
    assert not list(tmp_path.iterdir())
    done = export(model, encoding, load_target("loihi2"), tmp_path / "net.h5", frames, clip_delays=True)
    assert sum(layer.clipped_delays for layer in done.layers) > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.h5"]


def test_an_adaptive_threshold_is_refused_with_what_is_missing(make_model, frames, tmp_path):
    model, encoding = make_model(neuron="adaptive")
    with pytest.raises(ExportError, match="one constant threshold per layer, no state that raises it; train with"):
        export(model, encoding, load_target("ideal"), tmp_path / "net.h5", frames)
    assert not list(tmp_path.iterdir())
