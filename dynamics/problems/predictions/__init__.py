"""Predictions of single tasks, beyond their flows."""
