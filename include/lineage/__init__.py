"""Commands that answer where something came from, where it went, and how complete it is."""
