"""Directed scripts: wait for a state of the protocol, then act; as data.

    stage --when: a trigger on traces and packets seen--> do: rules on, rules off, kill, restart

``grammar`` reads a script and says what is wrong with it, ``knowledge`` holds what was seen, ``triggers``
asks it, ``actions`` resolves names into rules, ``machine`` is the tamperer, ``charges`` the certificate.
"""
