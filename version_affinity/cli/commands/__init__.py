"""One module per command. ``status`` is ``deployments status``; ``ramp`` has all commands that change a ramp."""
