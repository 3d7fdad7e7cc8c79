"""Weights, counts and order of a mix: pure functions of numbers, no files and no RNG state."""
