"""An integer network in other people's words: ONNX, NIR, netx. Nothing here imports PyTorch."""
