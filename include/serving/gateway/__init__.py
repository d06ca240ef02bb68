"""The gateway: HAProxy and its configuration."""
