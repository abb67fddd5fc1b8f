"""The order gateway: every exit order leaves through here, and every failure of one ends here."""
