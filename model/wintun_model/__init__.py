"""The reference model of the Wintun driver: routines that yield atomic operations."""
