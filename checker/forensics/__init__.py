"""Who is provably guilty? Signed messages that no correct replica signs, found in what a run recorded.

PBFT's safety rests on at most f liars. When more lie, the least that is owed is their names, with proof:
bytes under a replica's own signature that a correct replica never signs, whatever the others do. (Haeberlen,
Kouznetsov, Druschel, "PeerReview", SOSP 2007; Sheng et al., "BFT Protocol Forensics", CCS 2021.)

    messages  frames taken apart, with all frames inside them
    capture   reads packets.pcapng
    sources   every datagram that a run folder recorded, and where
    rules     what a correct replica never signs, and how each rule is shown broken
    slots     what was signed for which view and number, and what is at odds there
    kept      VIEW-CHANGEs and NEW-VIEWs, whole
    search    the search through a run folder
    evidence  proofs as data: evidence/accountability.json
    verify    proofs again, from their bytes and the public keys alone: `python -m checker.forensics`

A message shown by somebody else says nothing of who showed it; a MAC says nothing to anybody but its
receiver.
"""
