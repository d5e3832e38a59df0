"""The alerts: which events are one group, when a digest is due, and what it contains.

The modules are pure: values in, values out. The time is an argument.
"""
