"""wintunsim: a deterministic simulator and reference model of the Wintun kernel driver."""
