"""`corpus` and `python -m corpus_builder`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
