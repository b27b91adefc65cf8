"""Operators: one job, one class."""
