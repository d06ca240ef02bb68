"""The embedded stack: every process on one machine under supervisord."""
