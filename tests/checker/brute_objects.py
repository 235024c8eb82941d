"""The models once more, as plainly as can be, with makers of random histories. For `brute_force` only.

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


def _mangled(rng, others):
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
        return output if f == "append" else _mangled(rng, others)


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
        return _mangled(rng, others) if f == "read" else output


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
            return _mangled(rng, others)
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
        return "".join(_mangled(rng, others)) if f == "get" else output


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


class Bank(Thing):
    """A state is whether balances may be negative, and the balances."""

    model = "bank"
    negative = False

    def first(self, rng):
        balances = rng.choice(((3, 2, 0), (1, 1, 1)))
        return (("balances", balances), ("negative", True)) if self.negative else balances

    def begin(self, first):
        return (True, first[0][1]) if isinstance(first[0], tuple) else (False, first)

    def apply(self, state, f, given):
        negative, balances = state
        if f == "read":
            return balances, state
        if f == "balance":
            return balances[given], state
        source, target, amount = given
        if balances[source] < amount and not negative:
            return "overdraft", state
        after = list(balances)
        after[source] -= amount
        after[target] += amount
        return "ok", (negative, tuple(after))

    def ask(self, rng, number):
        f = rng.choice(("transfer", "transfer", "transfer", "balance", "balance", "read"))
        if f == "transfer":
            return f, (rng.randrange(3), rng.randrange(3), rng.randrange(4))
        return f, rng.randrange(3) if f == "balance" else None

    def spoil(self, rng, f, given, output, others):
        if f == "transfer":
            return rng.choice(("ok", "overdraft"))
        if f == "balance":
            return output + rng.choice((-1, 1, 2))
        return rng.choice([*others, (*output[1:], output[0])])


class LendingBank(Bank):
    negative = True


class MultiRegister(Thing):
    model = "multi-register"
    initial = ()
    firsts = ((("x", "v0"), ("y", "v1")), (("z", "v2"),))

    def apply(self, state, f, given):
        contents = dict(state)
        if f == "read":
            return tuple(contents.get(k) for k in given), state
        if f == "write":
            contents.update(given)
            return None, self._state(contents)
        answer = []
        for word, k, v in given:
            if word == "write":
                contents[k] = v
            answer.append((word, k, contents.get(k)))
        return tuple(answer), self._state(contents)

    def _state(self, contents):
        return tuple(sorted((k, v) for k, v in contents.items() if v is not None))

    def ask(self, rng, number):
        f = rng.choice(("txn", "txn", "read", "write"))
        names = [rng.choice("xyz") for _ in range(rng.randint(1, 3))]
        if f == "read":
            return f, tuple(names)
        if f == "write":
            return f, tuple((k, f"v{number}") for k in names)
        return f, tuple(rng.choice((("read", k, None), ("write", k, f"v{number}"))) for k in names)

    def spoil(self, rng, f, given, output, others):
        value = rng.choice((None, "v0", "v1", "v2"))
        at = rng.randrange(len(given))
        if f == "write":
            return None
        if f == "read":
            return (*output[:at], value, *output[at + 1 :])
        return (*output[:at], (*output[at][:2], value), *output[at + 1 :])


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
