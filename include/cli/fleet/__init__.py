"""Commands about all models, and about the runs of one."""
