"""Logs: files that a program's logging has written, read back as records."""
