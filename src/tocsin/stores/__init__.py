"""Stores: where groups and undelivered digests wait. A store gives atomicity and nothing else."""
