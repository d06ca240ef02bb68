"""Monitoring of champions: drift, label quality and service level, and the decision that follows."""
