"""The command line inside this process."""

import sys

import pytest

from physsynth.cli import main


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs the command line here: (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["physsynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call
