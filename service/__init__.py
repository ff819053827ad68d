"""Looking after people: tasks, notices, promises and the messages about them."""
