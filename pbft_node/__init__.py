"""A complete PBFT replica and client (Castro and Liskov, 1999), usable alone."""
