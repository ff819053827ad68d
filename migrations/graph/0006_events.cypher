// Events by their start.
