"""The interceptor of a live run: the engine of ``nemesis.packets`` between real processes.

    FORWARD: cuts, then NFQUEUE --> heads --untouched--> ACCEPT, many at once
                                      |wanted
                                      whole --engine--> ACCEPT, or DROP and re-emission, now or later

One single-threaded process, ``python -m nemesis.interceptor FD``, in the router's network namespace. The
harness starts it and talks to it over the socket FD (``messages``). It holds the keys of the compromised
replicas and no others. When it ends, however it ends, the network stops: nobody else gives verdicts.
"""
