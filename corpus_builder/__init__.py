"""Corpus builder."""
