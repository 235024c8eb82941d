"""The sans-IO protocol core: no clock, no chance, no I/O, no logging, no hash or set order.

A replica is a state machine: ``replica.handle(event, now_ns) -> list[Effect]``. Everything it knows arrives
in events, everything it does leaves in effects, so the same inputs give the same bytes in every world.
"""
