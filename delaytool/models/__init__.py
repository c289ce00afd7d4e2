"""Float networks whose synapses learn delays. Needs PyTorch."""
