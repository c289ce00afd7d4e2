"""What the arithmetic of the contract admits. A chip's own, narrower limits are in hw_configs."""

from __future__ import annotations

DECAY_UNITY = 4096
STATE_SHIFT = 6
STATE_LIMIT = 1 << 23
MAX_THRESHOLD = 131071
MAX_BIAS_MANTISSA = 4095
MIN_BIAS_MANTISSA = -4096
MAX_BIAS_EXPONENT = 7
MAX_WEIGHT_EXPONENT = 7
MAX_DELAY = (1 << 15) - 1
# Backends hold a step's sums in 32 bits, Lava among them, so a network whose sums could leave them is refused.
ACCUMULATOR_LIMIT = (1 << 31) - 1
# Neurons of one layer.
MAX_NEURONS = 1 << 24
# Steps of a sample: backends record them all. What has no end is for `runtime.stream`, which counts none.
MAX_STEPS = 1 << 20
