"""The compiled loops leave PyTorch's threads alone."""

import subprocess
import sys


def test_the_first_compiled_loop_does_not_change_pytorchs_threads():
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from delaytool.models.neurons import lif\n"
        "lif(torch.ones(2, 1, 1), 2.0)\n"
        "print(torch.get_num_threads())\n"
        "torch.set_num_threads(2); lif(torch.ones(2, 1, 1), 2.0); print(torch.get_num_threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2"]
