"""What every stage stands on: files that last, processes, randomness, paths, images."""
