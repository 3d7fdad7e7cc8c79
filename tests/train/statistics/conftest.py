"""The statistics need SciPy, which comes with the trial extra; without it these are left out."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("scipy") is None:
    collect_ignore_glob = ["test_*.py"]
