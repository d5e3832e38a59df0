"""The command `tocsin`: tries a configuration, and shows what it does, before it is needed."""
