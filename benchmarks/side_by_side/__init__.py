"""The comparison that `peers.py` runs: who takes part, what is measured, and how it is told."""
