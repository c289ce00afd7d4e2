"""From a float network to a chip's integers: one pass per file, each a function from one frozen dataclass to the next.

The exporter runs them on a finished network, the trainer where it begins to train through the integers.
"""
