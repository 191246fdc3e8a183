"""Worker reports: what each process says about itself, and the sums of their counters."""
