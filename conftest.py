"""What holds for every test."""

from hypothesis import settings

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("any machine", settings.default, deadline=None)
settings.load_profile("any machine")
