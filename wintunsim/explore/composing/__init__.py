"""Composed programs: a line over named routines, in sequence and side by side, as a scenario."""
