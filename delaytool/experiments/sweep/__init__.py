"""Many runs of one plan: which they are, who trains which, what came out. Optuna keeps the queue. Needs PyTorch."""
