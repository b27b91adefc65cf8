"""Peers that are Python libraries: each job in a process of its own, in the environment where the library is."""
