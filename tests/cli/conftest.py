"""Verbs run in this process, as all tests of the command line run them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from corpus_builder.cli import main

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a verb: (exit code, standard output, standard error)."""

    def run(*args: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(arg) for arg in args])
        except SystemExit as error:
            code = int(error.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
