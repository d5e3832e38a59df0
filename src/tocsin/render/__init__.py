"""From a digest to a message: subject, headers, text and HTML.

The modules are pure, except that templates are read from files.
"""
