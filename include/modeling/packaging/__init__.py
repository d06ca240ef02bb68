"""Packages: how a trained model is serialized and described."""
