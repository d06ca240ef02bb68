"""The log of requests: its records, the writer to the database, and the access log of a server."""
