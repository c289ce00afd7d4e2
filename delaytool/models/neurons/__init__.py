"""Neurons over a whole run, as autograd functions whose backward pass is O(time).

The loops over time exist three times, with one contract (`loops.Loops`): compiled for the CPU, in Triton for NVIDIA
GPUs, and stepwise in PyTorch for every other device.
"""

from delaytool.models.neurons.integrate_and_fire import leak_of, leaky_integrator, lif, spiking
from delaytool.models.neurons.loops import LifConstants, surrogate_gradient
from delaytool.models.neurons.population import Population

__all__ = ["LifConstants", "Population", "leak_of", "leaky_integrator", "lif", "spiking", "surrogate_gradient"]
