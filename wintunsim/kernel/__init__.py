"""A small simulated NT on simpy: threads, objects, handles, processes, costs."""
