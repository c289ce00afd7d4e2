"""From a trained float network to an IntegerNetwork: `compile.export` lists the passes in order.

Nothing is imported here, so that `exporter.targets` stays usable without PyTorch.
"""
