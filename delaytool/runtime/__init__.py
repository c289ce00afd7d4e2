"""Running integer networks. Nothing here imports PyTorch."""
