"""Knowing the customer: imports, profiles, tags."""
