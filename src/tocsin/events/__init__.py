"""The events: what is kept of a record, its fingerprint, and its traceback.

The modules are pure: the time, the lines of source code and the redactor are arguments.
"""
