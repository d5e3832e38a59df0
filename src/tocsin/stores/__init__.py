"""Stores: where groups and unsent digests wait. A store gives atomicity and nothing else."""
