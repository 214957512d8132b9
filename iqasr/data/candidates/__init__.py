"""Candidate ground truths: the files of each image, and how people judged them."""
