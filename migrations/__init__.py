"""Numbered migrations of both stores, safe to run by several instances at once."""
