"""Which errors belong together, when a digest is due, and what it says.

The modules are pure: values in, values out. The time is an argument.
"""
