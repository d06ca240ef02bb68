"""Governance of data and models: catalogue, profiles, personal data, dropping and retiring."""
