"""Where groups and undelivered digests wait. A store is atomicity and nothing else."""
