"""Agreement of scorers with people, and which scorers are right where others are wrong."""
