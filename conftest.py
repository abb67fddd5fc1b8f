"""What holds for every test."""

import os

from hypothesis import settings

# How long an example takes says something about the machine, nothing about the code.
# The same examples every time, so that a change is judged by what it changed; new ones for who asks.
fixed = "REACTOR_NEW_EXAMPLES" not in os.environ
settings.register_profile("any machine", settings.default, deadline=None, derandomize=fixed)
settings.load_profile("any machine")
