"""Which executions are looked at, and in which order: one strategy a module."""
