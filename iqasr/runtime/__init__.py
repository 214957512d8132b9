"""The foundation of every stage: files that last, processes, randomness, paths, images."""
