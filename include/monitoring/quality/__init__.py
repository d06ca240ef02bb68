"""Quality of a window of predictions: skill, comparison with the evaluation, estimate without labels."""
