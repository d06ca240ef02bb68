"""Replay: past days of a model played one after the other, under several strategies of retraining."""
