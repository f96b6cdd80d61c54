"""Running unchanged client code in a simulated Windows process."""
