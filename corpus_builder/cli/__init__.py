"""The command line: a thin skin over the Python functions. Parse, call, print.

Invariant: nothing heavy is imported before a verb runs; every deliberate error is one message on
standard error and the exit code of its class.
"""

from .main import main

__all__ = ["main"]
