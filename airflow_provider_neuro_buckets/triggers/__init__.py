"""Triggers for deferrable sensors and asset watchers."""
