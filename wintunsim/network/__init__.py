"""What is on the other side of the adapter: capture replay, generators, an answering host."""
