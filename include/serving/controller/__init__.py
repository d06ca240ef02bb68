"""The controller: starts, probes and ends model servers until the live state is the desired state."""
