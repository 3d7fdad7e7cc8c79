"""Importing this makes this process die with its parent, and all it forks from now on with it.

For the engine's own processes only: a pool's idle workers and datatrove's manager would otherwise
outlive a run that was killed, and a worker killed with a lock in its hands leaves others waiting.
"""

from __future__ import annotations

import os

from .worker import die_with_parent

# The forkserver, where this is preloaded, would live on while a busy worker holds its descriptor.
die_with_parent()
os.register_at_fork(after_in_child=die_with_parent)
