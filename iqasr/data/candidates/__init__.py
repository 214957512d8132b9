"""Candidate ground truths: where those of each image lie, and what people think of them."""
