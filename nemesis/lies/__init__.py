"""What a compromised replica or client says: strategies, each with its own keys and nobody else's.

The process of a compromised replica stays honest code. Its traffic is rewritten on the way out.
"""
