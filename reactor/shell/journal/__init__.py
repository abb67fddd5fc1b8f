"""The journal: what a restart needs, and what `explain` and `why` tell of, in one SQLite file."""
