"""Docker Compose: environment and one-time setup of its services."""
