"""The fast engine: a run as a loop of compiled code, with the results of the step engine."""
