"""A live run's recorded order as data (``schedule.jsonl``), made from its journals and followed in ``sim``.

The schedule decides when each datagram arrives, timers fire, processes live and die, and clients begin and
give up. The datagrams are those that the cores make now: the schedule only has their digests. So it is a
run like any other, of the plan's own nemesis and clients, in the order one run under a real kernel had.
"""
