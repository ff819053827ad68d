// Members in the order in which they joined.
