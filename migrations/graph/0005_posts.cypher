// Posts and comments.
