"""What exits are: pure, synchronous, without a clock. Time and prices are arguments."""
