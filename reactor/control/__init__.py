"""What people may steer: a local HTTP API, and the commands that talk to it."""
