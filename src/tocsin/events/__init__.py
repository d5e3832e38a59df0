"""From a record to an event: what the record says, and which kind of error it is.

The modules are pure: the time, the text of source files and the redactor are arguments.
"""
