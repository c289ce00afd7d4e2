"""Which samples the exporter is calibrated on."""

import numpy as np
import pytest

from delaytool.experiments.export_run import export_run
from delaytool.exporter.compile import Export
from delaytool.hw_configs import load_target
from delaytool.trainer.data import load_data
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import load_recipe


@pytest.mark.parametrize(("protocol", "part"), [("honest", "validation"), ("paper", "train")])
def test_no_test_sample_calibrates(protocol, part, tmp_path, monkeypatch):
    recipe = load_recipe(
        "digits", [f"protocol={protocol}", "model.hidden=[12]", "trainer.epochs=1", "trainer.batch_size=256"]
    )
    train(recipe, tmp_path / "run")
    seen = []

    def compiled(model, encoding, chip, output, frames, **options):
        seen.append(frames)
        return Export(None, [])

    monkeypatch.setitem(export_run.__globals__, "export", compiled)
    export_run(tmp_path / "run", load_target("loihi2"), tmp_path / "net.h5")
    (frames,) = seen
    data = load_data(recipe)

    def samples(frames):
        return {frame.tobytes() for frame in np.asarray(frames)}

    assert len(frames) == 128
    assert samples(frames) <= samples(getattr(data, part).frames)
    assert not samples(frames) & samples(data.test.frames)
