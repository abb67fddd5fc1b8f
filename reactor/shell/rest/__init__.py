"""REST: signed requests within the exchange's limits, and everything that is asked over them."""
