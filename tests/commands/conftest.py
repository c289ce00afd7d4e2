"""One trained and exported run for all tests of the verbs."""

import pytest
from click.testing import CliRunner

from delaytool.cli import main


@pytest.fixture(scope="session")
def call():
    """(arguments) -> click's result; a crash is raised, not swallowed."""

    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def run(call, tmp_path_factory):
    """A small run on the digits, exported for loihi2."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    result = call("train", "digits", "-o", folder, "--set", "model.hidden=[40]", "--set", "trainer.epochs=8")
    assert result.exit_code == 0, result.output
    result = call("export", folder, "--target", "loihi2")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def network(run):
    return run / "network-loihi2.h5"
