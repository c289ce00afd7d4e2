"""From a trained network to an IntegerNetwork: `compile.export` lists the passes in order."""
