"""Measurements anyone can repeat: ratios within one run, with their method."""
