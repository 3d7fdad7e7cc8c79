"""Every error this package raises on purpose, and the one warning.

Invariant: a message says where, what is wrong, what is allowed, and what to do. The tree:

    CorpusError                  base; `exit_code` is what the CLI returns
    ├── RecipeError       (2)    a recipe or rule set is wrong; found before any work
    ├── SourceError       (3)    an input cannot be listed or read at all
    ├── DataError         (4)    what only the data can tell: a null signal, a corpus too short
    ├── IntegrityError    (5)    a file of ours is not what its manifest claims
    ├── EngineError       (6)    a task failed or a worker was lost
    └── LockedError       (7)    another run holds this output folder
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable


class CorpusWarning(UserWarning):
    """Something a user should know that does not stop the work."""


class CorpusError(Exception):
    """Base of all errors raised on purpose.

    Args:
        where: file, `file:line`, stage or shard the problem is in.
        what: what is wrong there.
        allowed: what would be accepted, if that can be said.
        do: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, where: str, what: str, *, allowed: str = "", do: str = "") -> None:
        self.where, self.what, self.allowed, self.do = where, what, allowed, do
        super().__init__("; ".join(part for part in (f"{where}: {what}", allowed, do) if part))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts across process borders (the default would pass the message alone)."""
        return _rebuild, (type(self), self.where, self.what, self.allowed, self.do)


def _rebuild(cls: type[CorpusError], where: str, what: str, allowed: str, do: str) -> CorpusError:
    return cls(where, what, allowed=allowed, do=do)


class RecipeError(CorpusError):
    """A recipe or rule set is wrong; found before any work starts."""

    exit_code = 2


class SourceError(CorpusError):
    """An input cannot be listed or read at all."""

    exit_code = 3


class DataError(CorpusError):
    """What only the data can tell: a null where a rule set allows none, a corpus too short."""

    exit_code = 4


class IntegrityError(CorpusError):
    """A file of ours is missing, or is not what its manifest claims."""

    exit_code = 5


class EngineError(CorpusError):
    """A task failed or a worker was lost."""

    exit_code = 6


class LockedError(CorpusError):
    """Another run holds this output folder."""

    exit_code = 7


_OF_THE_MACHINE = {
    errno.ENOSPC: "free some",
    errno.EDQUOT: "free some, or have the quota raised",
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: "have the permission granted, or name another folder",
    errno.EPERM: "have the permission granted, or name another folder",
    errno.EIO: "see to the disk",
    errno.EMFILE: "raise the limit (ulimit -n), or use fewer --workers",
    errno.ENFILE: "close other programs, or use fewer --workers",
}


def of_the_machine(error: OSError) -> CorpusError | None:
    """A full disk, a missing permission and the like as an error of ours; None for any other."""
    if error.errno not in _OF_THE_MACHINE:
        return None
    where = str(error.filename) if error.filename else "this machine"
    do = f"{_OF_THE_MACHINE[error.errno]}, then run the same command again: what is done is kept"
    return CorpusError(where, os.strerror(error.errno), do=do)


def did_you_mean(name: str, allowed: Iterable[str], limit: int = 12) -> str:
    """`"allowed: a, b, c (did you mean 'b'?)"`, at most `limit` names, nearest first when many."""
    names = sorted(set(allowed))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    shown = names if len(names) <= limit else difflib.get_close_matches(name, names, limit, 0.0)
    more = "" if len(names) == len(shown) else f" and {len(names) - len(shown)} more"
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"allowed: {', '.join(shown) or 'none'}{more}{hint}"
