"""``traitor replay``: a run's journals, fed to fresh cores.

Every replica wrote down each event it took and a running hash of what its core gave back. A core is a pure
function of its events, so the same events must give the same hashes, the same log and the same trace; where
they do not, either the journal was tampered with or the code is another, and the first event that differs
says where. Nothing is written into the run folder, and nothing that its files name is opened.
"""
