"""Engines look for an order that explains a history. They propose; `checker.audit` believes none of them."""
