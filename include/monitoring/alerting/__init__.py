"""What people are told about: incidents of models, tasks that failed, runs that take too long."""
