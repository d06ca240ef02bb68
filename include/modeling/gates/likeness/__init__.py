"""Likeness of the training rows to the newest rows of production."""
