"""Networks as NIR graphs (Neuromorphic Intermediate Representation, arXiv 2311.14641), written and read.

`write.py` writes an integer network in NIR's equations, with its integers beside them; `read.py` gives them back; and
`float_network.py` reads the float graphs of other tools. docs/interchange.md lists what NIR can represent.
"""
