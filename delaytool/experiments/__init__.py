"""Whole ways through the house: export a run, verify a network against its run, measure what its integers cost."""
