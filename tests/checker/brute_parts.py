"""Objects of several parts, for `brute_objects`: banks with accounts, and several registers in one."""

from __future__ import annotations

from brute_thing import Thing


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
    firsts = ((("x", "v0"), ("y", "v0"), ("z", "v1")), (("y", "v1"),))

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
