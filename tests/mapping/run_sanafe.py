"""Runs in a process of its own, with an interpreter that has `sanafe` (GPL): a mapped network from JSON to counts.

Stdin: {"steps", "inputs": [[0 or 1 per step] per channel], "input_core", "neurons": [[core per neuron] per layer],
"forms": ["dense" or "sparse" per layer],
"synapses": [[layer, source population, source neuron, target neuron, weight]]}. A core is
[tile, core of the tile], tiles counted row by row; SANA-FE counts them column by column.
"""

import json
import sys

import sanafe

COLUMNS, ROWS = 8, 4
given = json.load(sys.stdin)
chip = sanafe.load_loihi()


def core(place):
    tile, number = place
    x, y = tile % COLUMNS, tile // COLUMNS
    return chip.tiles[x * ROWS + y].cores[number]


network = sanafe.Network()
populations = [network.create_neuron_group("input", len(given["inputs"]))]
for number, spikes in enumerate(given["inputs"]):
    neuron = populations[0].neurons[number]
    neuron.set_attributes(soma_hw_name=f"loihi_inputs[{number}]", log_spikes=True, model_attributes={"spikes": spikes})
    neuron.map_to_core(core(given["input_core"]))
for index, places in enumerate(given["neurons"]):
    group = network.create_neuron_group(f"layer{index}", len(places))
    populations.append(group)
    for neuron, place in zip(group.neurons, places, strict=False):
        neuron.set_attributes(
            soma_hw_name="loihi_lif",
            dendrite_hw_name="loihi_dendrites",
            default_synapse_hw_name=f"loihi_{given['forms'][index]}_synapse",
            log_spikes=True,
            model_attributes={"threshold": 100.0, "leak_decay": 0.9},
        )
        neuron.map_to_core(core(place))
for layer, source, pre, post, weight in given["synapses"]:
    populations[source].neurons[pre].connect_to_neuron(populations[layer + 1].neurons[post], {"weight": float(weight)})
simulator = sanafe.SpikingChip(chip)
simulator.load(network)
result = simulator.sim(given["steps"], spike_trace=True)
names = ["input", *(f"layer{index}" for index in range(len(given["neurons"])))]
spikes = [[0] * len(population.neurons) for population in populations]
for step in result["spike_trace"]:
    for address in step:
        spikes[names.index(address.group_name)][address.neuron_offset] += 1
keep = ("sim_time", "packets_sent", "neurons_updated", "spikes")
json.dump({"energy": result["energy"], "fired": spikes, **{key: result[key] for key in keep}}, sys.stdout)
