"""The gateway: HAProxy, its configuration and its commands."""
