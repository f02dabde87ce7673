"""What one looks at compiled code with; nothing here is needed to run it."""
