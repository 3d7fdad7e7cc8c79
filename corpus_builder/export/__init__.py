"""Exports: a finished mix, its documents or its text in the layouts that trainers read.

Invariant: nothing here decides what is in the corpus; a format module only lays out what the
sealed stages hold, and every export says in `corpus-export.json` what it was made from.
"""
