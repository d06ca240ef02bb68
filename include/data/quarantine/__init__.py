"""Quarantine: rejected rows, their release and their withdrawal."""
