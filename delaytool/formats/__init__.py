"""Files for other tools. Nothing here imports PyTorch."""
