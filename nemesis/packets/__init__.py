"""What is done to datagrams on their way: rules as data, one engine, in every world the same.

    packet --match--> tamperers (lies first, then the network's faults) --> packets, now or later

``live`` runs the engine in the interceptor, ``lockstep`` and ``sim`` call it for every datagram sent. It
reads no clock, no chance of its own, no file.
"""
