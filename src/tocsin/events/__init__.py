"""From a record to an event: the record's content, its fingerprint and its traceback.

The modules are pure: the time, the lines of source code and the redactor are arguments.
"""
