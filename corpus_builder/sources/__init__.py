"""Readers: one module a format, and the listing of what there is to read."""
