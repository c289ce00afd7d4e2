"""Running and judging integer networks. Nothing here imports PyTorch."""
