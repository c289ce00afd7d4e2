"""Protocol 'cross-validated': folds choose the epoch, and one training on all samples goes to it. Needs PyTorch."""
