"""Networks as ONNX graphs of standard operators, which any ONNX runtime runs with the contract's bits.

`sequence.py` makes the graph of a whole sample, `step.py` that of one step with its state, `float_sequence.py` that
of a float network. docs/interchange.md shows how to run them.
"""
