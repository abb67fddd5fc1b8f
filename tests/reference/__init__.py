"""The exit machine a second time: plain, slow, written from the texts alone, and never imported by the product."""
