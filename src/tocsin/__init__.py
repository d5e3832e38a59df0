"""Turn the errors a program logs into a few emails that people will read."""
