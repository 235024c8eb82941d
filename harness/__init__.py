"""Plan, world, run, store and command line: the only package that knows all others."""
