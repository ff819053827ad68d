// Waiting lists.
