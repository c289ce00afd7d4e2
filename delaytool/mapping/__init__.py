"""A network, or only its shape, on a chip: cores, memory, axons, energy, latency. Needs neither PyTorch nor data."""
