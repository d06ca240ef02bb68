"""From a table of a stranger to a declared, checked and released model."""
