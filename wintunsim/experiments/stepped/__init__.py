"""The step engine, compiled: the routines' own operations as a program of rows, performed one by one."""
