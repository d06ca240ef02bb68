"""Profile of a table: a page with the distribution, nulls and correlations of its columns."""
