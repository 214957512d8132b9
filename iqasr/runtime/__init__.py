"""What all else builds on: atomic files, processes, randomness, paths, weights."""
