"""Plan values tried on recordings: which combinations, which entries, what came of each, and how far to believe it."""
