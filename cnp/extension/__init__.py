"""Op libraries of a user's own: loaded, given a meaning in Python, and checked against it."""
