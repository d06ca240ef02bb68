"""Commands from a table of a stranger to a released model."""
