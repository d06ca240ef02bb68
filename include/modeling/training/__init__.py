"""Training: fitting an estimator and checking the result."""
