"""The graph itself: its engine, its client, its schema and its export to matrices."""
