"""What goes wrong: faults as data with four verbs (available, start, observe, stop), and the ledger of what
they cost."""
