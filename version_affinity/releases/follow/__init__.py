"""How a worker follows the log and the releases directory."""
