"""Commands about datasets, features and models: find, show, drop and retire them, erase personal data."""
