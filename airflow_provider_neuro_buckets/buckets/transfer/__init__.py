"""Transfers between local files and blobs: a plan without I/O, and an engine that obeys it."""
