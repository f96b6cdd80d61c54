"""The event trace, its digest, and what is exported from it."""
