"""Settings of all tests."""

from hypothesis import settings

# The same examples on every run and machine; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("repeatable")
