"""From a trained float network to an IntegerNetwork: `compile.export` lists the passes in order.

Nothing is imported here, so that naming the package costs nothing.
"""
