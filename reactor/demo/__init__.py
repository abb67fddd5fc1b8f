"""The demonstration: a simulated exchange, somebody who trades on it, and the live process in front of it."""
