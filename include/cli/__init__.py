"""The command line `airworthy`, one module per group of commands."""
