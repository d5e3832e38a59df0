"""Secrets out of text. The modules are pure."""
