"""Commands about served models: their releases, callers and state."""
