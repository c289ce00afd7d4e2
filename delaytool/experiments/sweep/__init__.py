"""Sweeps: the runs to train, the processes that train them, the results. Optuna keeps the queue. Needs PyTorch."""
