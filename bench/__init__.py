"""Measurements on public data; the data itself is never part of the project."""
