"""Integrations: what frameworks need so that the errors of their applications arrive.

No integration imports its framework, and none replaces a function of it.
"""
