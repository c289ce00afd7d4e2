"""One file, one pass: what the exporter does with finished integers. The passes before are in `quantization`."""
