"""Recordings of other programs, one module a format; each yields raw messages with their times."""
