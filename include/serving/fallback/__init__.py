"""The fallback server: answers callers of models that are switched off, without any model."""
