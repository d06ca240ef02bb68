"""Serving: the gateway, the model servers and the controller that runs them."""
