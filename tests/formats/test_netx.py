"""netx files: written, read back, read from other tools, and refused where netx cannot represent it."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from delaytool.contract.digests import content_sha256
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.contract.values import file_values
from delaytool.errors import ExportError, NetworkError
from delaytool.formats.netx import has_netx_structure, read_netx, write_netx
from delaytool.runtime import reference


def dense_network(seed: int = 0) -> IntegerNetwork:
    rng = np.random.default_rng(seed)
    sizes = [6, 5, 3]
    layers = tuple(
        IntegerLayer(
            name=name,
            n_neurons=n_out,
            synapses=(
                DenseSynapses(
                    index,
                    rng.integers(-128, 128, (n_out, sizes[index])) * 2,
                    rng.integers(0, 63, (n_out, sizes[index])),
                ),
            ),
            du=int(rng.integers(0, 4096)),
            dv=409,
            threshold=150,
            bias_mantissa=rng.integers(-4, 5, n_out),
            bias_exponent=6,
        )
        for index, (name, n_out) in enumerate(zip(("hidden", "readout"), sizes[1:], strict=True))
    )
    return IntegerNetwork(
        InputEncoding(6, values="binary", time_step_ms=2.0, n_steps=70),
        layers,
        Readout("softmax-sum", 640.0, 2, 80),
        n_steps=80,
        target="loihi2",
        provenance={"recipe": "abc"},
    )


def with_group(network: IntegerNetwork, group, index: int = 0) -> IntegerNetwork:
    layers = list(network.layers)
    layers[index] = replace(layers[index], synapses=group if isinstance(group, tuple) else (group,))
    return replace(network, layers=tuple(layers))


def assert_same_behavior(first: IntegerNetwork, second: IntegerNetwork) -> None:
    shape = (2, 70, first.encoding.n_channels)
    frames = (np.random.default_rng(1).random(shape) < 0.3).astype(np.uint8)
    one, other = reference.run(first, frames), reference.run(second, frames)
    for name in ("spikes", "u", "v"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_network_comes_back_as_it_was(tmp_path):
    network = dense_network()
    write_netx(network, tmp_path / "a.net")
    again = read_netx(tmp_path / "a.net")
    assert again.encoding == network.encoding
    assert again.readout == network.readout
    assert (again.n_steps, again.target, again.provenance) == (80, "loihi2", {"recipe": "abc"})
    assert [layer.name for layer in again.layers] == ["hidden", "readout"]
    assert_same_behavior(network, again)


def test_the_layout_is_lava_dls(tmp_path):
    network = dense_network()
    write_netx(network, tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net") as file:
        assert sorted(file["layer"]) == ["0", "1", "2"]
        assert file["layer/0/type"][0] == b"input"
        assert file["layer/1/type"][0] == b"dense"
        assert file["layer/1/type"].dtype == np.dtype("S10")
        assert file["layer/0/shape"][()].tolist() == [6]
        assert file["layer/1/weight"].shape == file["layer/1/delay"].shape == (5, 6)
        neuron = file["layer/1/neuron"]
        assert neuron["type"][0] == b"LOIHI"
        assert neuron["iDecay"][()] == network.layers[0].du + 1
        assert neuron["vDecay"][()] == 409
        assert neuron["vThMant"][()] == 150


def test_exponents_that_fit_are_folded_in(tmp_path):
    network = dense_network()
    group = network.layers[0].synapses[0]
    small = replace(group, weight=group.weight // 16 * 2, exponent=2)
    biased = with_group(network, small)
    first = replace(biased.layers[0], bias_mantissa=np.array([2, -4, 0, 0, 6]), bias_exponent=5)
    network = replace(biased, layers=(first, network.layers[1]))
    write_netx(network, tmp_path / "a.net")
    assert_same_behavior(network, read_netx(tmp_path / "a.net"))


def test_delays_of_absent_synapses_do_not_count(tmp_path):
    weight, delay = np.tile([2, 0, 2, 0, 2, 4], (5, 1)), np.tile([1, 500, 2, 600, 3, 62], (5, 1))
    network = with_group(dense_network(), DenseSynapses(0, weight, delay))
    write_netx(network, tmp_path / "a.net")
    assert_same_behavior(network, read_netx(tmp_path / "a.net"))


def refused(network: IntegerNetwork, folder) -> str:
    with pytest.raises(ExportError) as caught:
        write_netx(network, folder / "a.net")
    assert list(folder.iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_graded_input_is_refused(tmp_path):
    network = replace(dense_network(), encoding=InputEncoding(6, max_count=7))
    assert "counts up to 7" in refused(network, tmp_path)


def test_several_taps_are_refused(tmp_path):
    network = dense_network()
    group = network.layers[0].synapses[0]
    text = refused(with_group(network, (group, group)), tmp_path)
    assert "layer hidden: 2 synapse groups" in text
    assert "--backend lava" in text


def test_several_taps_of_a_pair_are_refused(tmp_path):
    group = SparseSynapses(0, 5, 6, *np.array([[1, 1], [3, 3], [4, 6], [0, 1]]))
    assert "layer hidden: a pair of its neurons has several taps" in refused(
        with_group(dense_network(), group), tmp_path
    )


def test_a_list_of_single_taps_is_written_as_a_matrix(tmp_path):
    network = dense_network()
    listed = with_group(network, network.layers[0].synapses[0].as_sparse())
    write_netx(listed, tmp_path / "listed.net")
    write_netx(network, tmp_path / "dense.net")
    one, other = (read_netx(tmp_path / name).layers[0].synapses[0] for name in ("listed.net", "dense.net"))
    for ours, theirs in zip(one.listed(), other.listed(), strict=True):
        assert np.array_equal(ours, theirs)


def test_other_sources_are_refused(tmp_path):
    group = DenseSynapses(1, np.full((5, 5), 2), np.zeros((5, 5), int))
    assert "layer hidden: it has synapses from hidden" in refused(with_group(dense_network(), group), tmp_path)


@pytest.mark.parametrize(
    ("weight", "exponent", "delay", "text"),
    [
        (3, 0, 0, "weight 3 is odd"),
        (254, 1, 0, "a synapse carries 508 (weight exponent 1)"),
        (2, 0, 63, "delay 63 exceeds netx's 62"),
        (0, 0, 0, "all its weights are 0"),
        (-64, 0, 0, "a power of two"),
    ],
)
def test_what_netx_would_change_is_refused(tmp_path, weight, exponent, delay, text):
    group = DenseSynapses(0, np.full((5, 6), weight), np.full((5, 6), delay), exponent)
    assert text in refused(with_group(dense_network(), group), tmp_path)


@pytest.mark.parametrize(
    ("mantissa", "exponent", "text"), [(1, 5, "bias 32 is no multiple"), (4095, 7, "mantissa 8190")]
)
def test_biases_that_do_not_fit_are_refused(tmp_path, mantissa, exponent, text):
    network = dense_network()
    layer = replace(network.layers[0], bias_mantissa=np.full(5, mantissa), bias_exponent=exponent)
    assert text in refused(replace(network, layers=(layer, network.layers[1])), tmp_path)


def foreign(path, *, delay=None, kind="dense", neuron=True, weight=None, bias=None, **settings):
    """A file as another tool would write it: 3 inputs, 2 neurons, no attribute of ours."""
    with h5py.File(path, "w") as file:
        file.create_dataset("layer/0/type", (1,), "S10", [b"input"])
        file["layer/0/shape"] = np.array([3])
        group = file.create_group("layer/1")
        group.create_dataset("type", (1,), "S10", [kind.encode()])
        group["shape"] = np.array([2])
        group["weight"] = np.array([[2.0, -4.0, 6.0], [8.0, 0.0, -254.0]]) if weight is None else weight
        if delay is not None:
            group["delay"] = delay
        if bias is not None:
            group["bias"] = bias
        if neuron:
            values = {"iDecay": 1024, "vDecay": 128, "vThMant": 80, **settings}
            group.create_dataset("neuron/type", (1,), "S10", [values.pop("type", "CUBA").encode()])
            for name, value in values.items():
                group[f"neuron/{name}"] = value
    return path


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (None, [[0, 0, 0], [0, 0, 0]]),
        (7, [[7, 7, 7], [7, 7, 7]]),
        (np.array([4.0]), [[4, 4, 4], [4, 4, 4]]),
        (np.array([3.0, 5.0]), [[3, 3, 3], [5, 5, 5]]),
        (np.array([1, 2, 62]), [[1, 2, 62], [1, 2, 62]]),
        (np.array([[1, 2, 3], [4, 5, 6]]), [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_delays_of_other_tools(tmp_path, delay, expected):
    network = read_netx(foreign(tmp_path / "f.net", delay=delay, bias=[3, -2]), n_steps=20, time_step_ms=2.0)
    layer = network.layers[0]
    assert layer.synapses[0].delay.tolist() == expected
    assert layer.synapses[0].weight.tolist() == [[2, -4, 6], [8, 0, -254]]
    assert (layer.du, layer.dv, layer.threshold) == (1023, 128, 80)
    assert layer.bias.tolist() == [192, -128]
    assert (network.n_steps, network.encoding.n_channels, network.encoding.time_step_ms) == (20, 3, 2.0)
    assert network.encoding.max_payload == 1


def test_flat_weights_are_reshaped(tmp_path):
    network = read_netx(foreign(tmp_path / "f.net", weight=np.arange(0, 12, 2)), n_steps=5)
    assert network.layers[0].synapses[0].weight.tolist() == [[0, 2, 4], [6, 8, 10]]


def test_long_delays_are_clipped_only_when_asked(tmp_path):
    path = foreign(tmp_path / "f.net", delay=np.array([70, 3]))
    with pytest.raises(NetworkError, match=r"delay 70 exceeds netx's 62.*--clip-delays"):
        read_netx(path, n_steps=5)
    assert read_netx(path, n_steps=5, clip_delays=True).max_delay == 62


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kind": "conv"}, "type 'conv' is not supported"),
        ({"kind": "dense_rec"}, "type 'dense_rec' is not supported"),
        ({"type": "SDNN"}, "neuron type 'SDNN' is not supported"),
        ({"neuron": False}, "no neuron description"),
        ({"iDecay": 0}, "iDecay 0 is outside 1..4096"),
        ({"vDecay": 5000}, "dv 5000 is outside"),
        ({"vThMant": 1 << 18}, "threshold 262144 is outside"),
        ({"weight": np.array([[0.5, 0, 0], [0, 0, 0]])}, "weight 0.5 is not a whole number"),
        ({"weight": np.full((2, 3), 300)}, "weight 300 is outside"),
        ({"weight": np.zeros((2, 4))}, "weights are for 4 inputs"),
        ({"weight": np.zeros(5)}, "5 weights do not divide into 2 neurons"),
        ({"delay": np.array([-1, 0])}, "delay -1 is negative"),
        ({"delay": np.zeros((3, 2))}, "which does not fit"),
        ({"bias": [1, 2, 3]}, "3 biases for 2 neurons"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path, settings, text):
    with pytest.raises(NetworkError) as caught:
        read_netx(foreign(tmp_path / "f.net", **settings), n_steps=5)
    assert text in str(caught.value)
    assert str(tmp_path / "f.net") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_length_of_a_sample_must_be_given(tmp_path):
    with pytest.raises(NetworkError, match="--steps"):
        read_netx(foreign(tmp_path / "f.net"))


def test_files_that_are_not_netx(tmp_path):
    with pytest.raises(NetworkError, match="no such file"):
        read_netx(tmp_path / "missing.net")
    (tmp_path / "text.net").write_text("hello")
    with pytest.raises(NetworkError, match="not a readable HDF5 file"):
        read_netx(tmp_path / "text.net")
    dense_network().save(tmp_path / "ours.h5")
    with pytest.raises(NetworkError, match="no group 'layer'"):
        read_netx(tmp_path / "ours.h5")
    with h5py.File(tmp_path / "hole.net", "w") as file:
        file.create_group("layer/1")
    with pytest.raises(NetworkError, match="layer/0 is missing"):
        read_netx(tmp_path / "hole.net")


def test_lengths_that_the_file_states_are_not_replaced(tmp_path):
    write_netx(dense_network(), tmp_path / "a.net")
    with pytest.raises(
        NetworkError, match=r"n_steps 20: the file states that a sample has 80 steps; leave --steps out"
    ):
        read_netx(tmp_path / "a.net", n_steps=20)
    with pytest.raises(
        NetworkError, match=r"time_step_ms 5.0: the file states that a step has 2 ms; leave --time-step"
    ):
        read_netx(tmp_path / "a.net", time_step_ms=5.0)


def test_the_digest_is_that_of_the_network_file(tmp_path):
    path = tmp_path / "a.net"
    write_netx(dense_network(), path)
    network = read_netx(path)
    network.save(tmp_path / "a.h5")
    with h5py.File(path) as file, h5py.File(tmp_path / "a.h5") as saved:
        extra = json.loads(file.attrs["delaytool"])
        assert extra["sha256"] == saved.attrs["content_sha256"] == network.content_sha256()
    # Before, the digest was not over the two records of the schema.
    values = {name: value for name, value in file_values(network).items() if not name.startswith("@schema")}
    for former, accepted in ((content_sha256(values), True), ("0" * 64, False)):
        with h5py.File(path, "a") as file:
            file.attrs["delaytool"] = json.dumps({**extra, "sha256": former})
        if accepted:
            assert read_netx(path) == network
            continue
        with pytest.raises(NetworkError, match="not as it was written"):
            read_netx(path)


def test_structure_is_all_but_weights_and_biases():
    network = dense_network()
    group = network.layers[0].synapses[0]
    other_integers = replace(group, exponent=7)
    odd_bias = replace(network.layers[0], bias_mantissa=np.full(5, 3), bias_exponent=0)
    for possible in (with_group(network, other_integers), replace(network, layers=(odd_bias, network.layers[1]))):
        with pytest.raises(ExportError):
            write_netx(possible, "never")
        assert has_netx_structure(possible)
    assert not has_netx_structure(with_group(network, (group, group)))
    assert not has_netx_structure(replace(network, encoding=InputEncoding(6, max_count=7)))
