"""Redaction: secrets are taken out of text. The modules are pure."""
