"""The stages of a run: one module a recipe verb; what they share is in `base`, `frame`, `rows`."""
