"""What an object of `brute_objects` is.

An object says what an operation answers and leaves behind (`apply`), whether an answer that a client was
told fits that (`fits`), where it may begin (`first`, as the model is told it; `begin` gives the state), what
clients ask (`ask`; `number` is unique or not), how the answer is told (`tell`), and how to make it wrong,
perhaps (`spoil`).
"""

from __future__ import annotations


class Thing:
    model = ""
    """The model that judges its histories."""
    initial: object = None
    firsts: tuple[object, ...] = ()
    """Where it may begin but for `initial`."""

    def first(self, rng):
        """None (`initial`), or another beginning, as the model is told it."""
        return rng.choice(self.firsts) if self.firsts and rng.random() < 0.3 else None

    def begin(self, first):
        """The state there."""
        return self.initial if first is None else first

    def apply(self, state, f, given):
        """(answer, state afterwards)."""
        raise NotImplementedError

    def fits(self, f, told, true):
        return type(told) is type(true) and told == true

    def ask(self, rng, number):
        raise NotImplementedError

    def tell(self, rng, f, output):
        return output

    def spoil(self, rng, f, given, output, others):
        raise NotImplementedError


def mangled(rng, others):
    """One of some lists, with a place lost, doubled or moved."""
    wrong = list(rng.choice(others))
    change = rng.randrange(4)
    if change == 0 and wrong:
        wrong.pop(rng.randrange(len(wrong)))
    elif change == 1:
        rng.shuffle(wrong)
    elif change == 2 and wrong:
        wrong.append(rng.choice(wrong))
    return tuple(wrong)
