"""Option files: their text, their sections, and the constructor as schema."""
