"""From a digest to a message: subject, headers, text and HTML.

The modules are pure, but for templates, which are read from files.
"""
