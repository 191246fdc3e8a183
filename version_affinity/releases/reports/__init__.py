"""Worker reports: what each process says about itself, and what all processes have counted together."""
