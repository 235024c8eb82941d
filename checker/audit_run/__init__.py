"""`traitor audit RUN`, or `python -m checker.audit_run FOLDER` on a copied folder: what can be verified.

A verdict is only worth what it rests on. Here every link that a third party can follow is followed again:
file hashes, signatures, replies, certificates, the verdict itself. What cannot be followed is listed, too,
with the reason: it is taken on trust. Nothing of the folder is executed and nothing is written into it.

    findings      what one check found, and the whole as text or JSON
    sealed_files  manifest.json against the files
    replies       clients.journal against the history
    certificates  witness or counterexample against the history
    verdicts      judged again and compared; requests' signatures and traces come with it
    guilt         evidence/accountability.json: every proof from its bytes, and the run searched again
    sensitivity   spoilt copies of this history: would the judge have noticed?
    trust         what no check can show
    program       all of them in order; the command line
"""
