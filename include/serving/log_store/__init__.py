"""Records on their way to a table of logs: on disk first, then by COPY to PostgreSQL."""
