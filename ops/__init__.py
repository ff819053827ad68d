"""Commands that start, fill and look after a system."""
