"""The worker: settles what is owed, sweeps what was missed, recomputes what is stored."""
