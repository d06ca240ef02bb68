"""The controller: starts, watches and stops model servers until live and desired state agree."""
