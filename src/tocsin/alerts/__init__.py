"""The pure middle: which events belong together, when a digest goes, what it says.

Values in, values out: `now` is an argument; nothing here reads a clock, a socket or a thread.
"""
