"""Notices and what serves customers."""
