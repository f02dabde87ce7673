"""What one would pick instead of cnp, each as a peer that compiles the same functions."""
