"""What a trained network has learned, looked at neuron by neuron: receptive fields over delays, and their structure."""
