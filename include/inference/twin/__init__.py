"""The compiled twin of a model: the same predictions from plain columns, without pandas and scikit-learn."""
