"""The secrets and the one-time setup of the services in docker-compose.yaml."""
