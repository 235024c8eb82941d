"""Many seeds, one line each: ``traitor sweep``."""
