"""One judge a file: a pure function from the run folder (and limits) to a verdict line.

Replica-side judges look at correct replicas only, i.e. those the ledger does not call Byzantine: nothing is
promised about the others, and nothing they wrote is evidence.
"""
