"""Stores: one provider, one module."""
