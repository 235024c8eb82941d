"""The models once more, as plainly as can be, with makers of random histories. For `brute_force` only."""

from __future__ import annotations

from brute_parts import Bank, LendingBank, MultiRegister
from brute_thing import Thing, mangled


class Register(Thing):
    model = "register"
    firsts = ("v0", "v1")
    null_matches = False
    values = (None, "v0", "v1", "v2", "v3")
    bare = 0.0

    def apply(self, state, f, given):
        if f in ("read", "get"):
            return state, state
        if f in ("write", "put"):
            return None, given
        if f == "delete":
            return None, None
        swapped = state == given[0] and (self.null_matches or state is not None)
        return (swapped, state), (given[1] if swapped else state)

    def fits(self, f, told, true):
        if f == "cas" and isinstance(told, bool):
            return told == true[0]
        return told == true

    def ask(self, rng, number):
        f = rng.choices(("read", "write", "cas", "delete"), (5, 4, 4, 1))[0]
        if f == "write":
            return f, f"v{number}"
        if f == "cas":
            return f, (f"v{rng.randrange(max(1, number + 1))}", f"v{number}")
        return f, None

    def tell(self, rng, f, output):
        return output[0] if f == "cas" and rng.random() < self.bare else output

    def spoil(self, rng, f, given, output, others):
        value = rng.choice(self.values)
        if f == "cas":
            wrong = rng.random() < 0.5
            return wrong if isinstance(output, bool) else (wrong, value)
        return value if f == "read" else output


class BareRegister(Register):
    """Most compare-and-sets only say whether they swapped."""

    bare = 0.9


class CasRegister(BareRegister):
    model = "cas-register"
    null_matches = True
    firsts = (0, (True,), "0")
    values = (None, 0, (True,), "0", 1)

    def ask(self, rng, number):
        f = rng.choices(("read", "write", "cas"), (4, 3, 5))[0]
        if f == "write":
            return f, self.values[number % 5]
        if f == "cas":
            return f, (rng.choice(self.values[: number + 1]), self.values[number % 5])
        return f, None


class Append(Thing):
    model = "append"
    firsts = (("e0",), ("e1", "e9"), ("e0", "e0"))
    initial = ()

    def apply(self, state, f, given):
        return (None, (*state, given)) if f == "append" else (state, state)

    def ask(self, rng, number):
        return ("append", f"e{number}") if rng.random() < 0.5 else ("read", None)

    def spoil(self, rng, f, given, output, others):
        return output if f == "append" else mangled(rng, others)


class Counter(Thing):
    model = "counter"
    firsts = (1, -2)
    initial = 0
    deltas = (1, 1, 1, 2)

    def apply(self, state, f, given):
        return (state + given, state + given) if f == "add" else (state, state)

    def fits(self, f, told, true):
        return told == true or (f == "add" and told is None)

    def ask(self, rng, number):
        return ("add", rng.choice(self.deltas)) if rng.random() < 0.6 else ("read", None)

    def tell(self, rng, f, output):
        return None if f == "add" and rng.random() < 0.5 else output

    def spoil(self, rng, f, given, output, others):
        return output if output is None else output + rng.choice((-1, 1, 2))


class SignedCounter(Counter):
    deltas = (-2, -1, 0, 1, 3)


class FallingCounter(Counter):
    deltas = (-2, -1, -1, 0)


class UnitCounter(Counter):
    deltas = (1,)


class Set(Thing):
    model = "set"
    initial = frozenset()
    firsts = (("e0",), ("e1", "e9"))
    functions = ("add", "add", "remove", "contains", "read", "read")

    def apply(self, state, f, given):
        if f == "add":
            return None, state | {given}
        if f == "remove":
            return None, state - {given}
        if f == "contains":
            return given in state, state
        return tuple(sorted(state)), state

    def begin(self, first):
        return frozenset(first or ())

    def fits(self, f, told, true):
        return told == true if f != "read" else sorted(told) == list(true)

    def ask(self, rng, number):
        f = rng.choice(self.functions)
        return (
            (f, None) if f == "read" else (f, f"e{rng.randrange(number + 1)}" if f != "add" else f"e{number}")
        )

    def tell(self, rng, f, output):
        return tuple(rng.sample(output, len(output))) if f == "read" else output

    def spoil(self, rng, f, given, output, others):
        if f == "contains":
            return rng.random() < 0.5
        return mangled(rng, others) if f == "read" else output


class GrowOnlySet(Set):
    model = "grow-only-set"
    functions = ("add", "add", "contains", "read", "read")


class Flags(Set):
    """A set that nobody reads as a whole."""

    functions = ("add", "remove", "contains", "contains")


class Queue(Thing):
    model = "queue"
    firsts = (("i0",), ("i1", "i9"))
    initial = ()
    functions = ("enqueue", "enqueue", "dequeue", "dequeue", "peek", "read")

    def apply(self, state, f, given):
        if f == "enqueue":
            return None, (*state, given)
        if f == "dequeue":
            return (state[0], state[1:]) if state else (None, state)
        if f == "peek":
            return (state[0] if state else None), state
        return (len(state) if f == "length" else state), state

    def ask(self, rng, number):
        f = rng.choice(self.functions)
        return f, f"i{number}" if f == "enqueue" else None

    def spoil(self, rng, f, given, output, others):
        if f == "length":
            return max(0, output + rng.choice((-1, 1)))
        if f == "read":
            return mangled(rng, others)
        return output if f == "enqueue" else rng.choice([*others, None, "i0", "i1"])


class PlainQueue(Queue):
    functions = ("enqueue", "dequeue")


class MeasuredQueue(Queue):
    functions = (*Queue.functions, "length")


class KvAppend(Thing):
    model = "kv-append"
    firsts = ("a", "ab")
    initial = ""
    functions = ("get", "get", "append", "append", "put")
    words = ("a", "b", "c", "d", "e", "f", "g")

    def apply(self, state, f, given):
        if f == "get":
            return state, state
        return None, (given if f == "put" else state + given)

    def ask(self, rng, number):
        f = rng.choice(self.functions)
        return f, None if f == "get" else self.words[number % 7]

    def spoil(self, rng, f, given, output, others):
        return "".join(mangled(rng, others)) if f == "get" else output


class KvAppendTokens(KvAppend):
    """As Porcupine's: no piece is in another one."""

    functions = ("get", "get", "append", "append", "append", "put")
    firsts = ("x0y", "x9yx1y", "x")
    words = tuple(f"x{i}y" for i in range(7))


class GrowingText(KvAppendTokens):
    """Nothing is put."""

    functions = ("get", "append")


class KvAppendTangles(KvAppend):
    """Pieces that are in, begin and end each other; and the empty one."""

    words = ("a", "aa", "ab", "", "ba", "b", "aba")


OBJECTS: dict[str, Thing] = {
    "register": Register(),
    "kv": Register(),
    "bare register": BareRegister(),
    "cas-register": CasRegister(),
    "append": Append(),
    "counter": Counter(),
    "signed counter": SignedCounter(),
    "falling counter": FallingCounter(),
    "set": Set(),
    "grow-only-set": GrowOnlySet(),
    "queue": Queue(),
    "measured queue": MeasuredQueue(),
    "kv-append": KvAppend(),
    "kv-append of tokens": KvAppendTokens(),
    "kv-append of tangles": KvAppendTangles(),
    "growing text": GrowingText(),
    "bank": Bank(),
    "lending bank": LendingBank(),
    "multi-register": MultiRegister(),
    "plain queue": PlainQueue(),
    "flags": Flags(),
    "unit counter": UnitCounter(),
}
"""By the name of the model, or a word for another kind of history of that model."""


def model_of(name: str) -> str:
    """The name of the model that judges histories of `name`."""
    return "kv" if name == "kv" else OBJECTS[name].model
