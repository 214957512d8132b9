"""Training and testing: from the command line to checkpoints, validations and results."""
