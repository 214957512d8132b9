"""Improvement of a network on photographs, from one command."""
