"""Certificates: the evidence for a version, signed with Ed25519, and the keys that sign it."""
