"""Declarations of data: sources, files, columns, checks, datasets and feature views."""
