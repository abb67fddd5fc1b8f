"""Tapes and tick files through the core, and what they show."""
