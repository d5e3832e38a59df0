"""The rendering: makes a message of a digest, with subject, headers, text and HTML.

The modules are pure, except that templates are read from files.
"""
