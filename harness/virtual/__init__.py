"""Virtual worlds: one scheduler with a virtual clock and a virtual network, driven by the seed."""
