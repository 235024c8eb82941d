"""Each side condition of the models' advice matters: without it, brute force disagrees with the model.

A mutant is a line that says in which module and on which kind of histories, what it says there, and what the
mutant says instead.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from brute_force import random_case
from model_advice import wrong_advice

import checker.models

MUTANTS = """
register | bare register
- return call.known and call.output is False and
+ return False and
register | register
- demand[value] - (value in own) == 0
+ demand[value] == (value in own) or True
register | register
- return (*required(call), cas_of(call)[0])
+ return required(call)
register | register
- return Call("read", None, call.output[1], True)
+ return Call('read', None, cas_of(call)[0], True)
register | cas-register
- sources: dict[State, int] = {initial: 1}
+ sources: dict[State, int] = {}
register | cas-register
- null_matches: ClassVar[bool] = True
+ null_matches: ClassVar[bool] = False
append | append
- if element not in there)
+ )
append | append
- and (call.f == "read" or call.input not in self._seen)
+
counters | counter
- > farthest[0]
+ >= farthest[0]
counters | signed counter
- return -1 if all(delta <= 0 for delta in deltas) else 0
+ return 1
counters | falling counter
- return -1 if
+ return 1 if
counters | counter
- farthest[0] + 1 if
+ farthest[0] if
counters | counter
- or _beyond(self._sign, initial, call, farthest)
+ or True
counters | counter
- range(low, high, self._sign)
+ range(low, high + 1, self._sign)
counters | counter
- return call._replace(output=None)
+ return call._replace(output=None, input=1)
sets | set
- self._added - self._removed - asked - initial
+ self._added - asked - initial
sets | set
- self._added - self._removed - asked - initial
+ self._added - self._removed - initial
sets | set
- if not looks.up(element)}
+ }
sets | set
- if element not in self._removed:
+ if True:
sets | set
- if element not in self._added:
+ if True:
sets | set
- return element in self._read or element in self._said_yes
+ return element in self._read
sets | set
-  or element in self._said_no
+
sets | set
- if element not in there)
+ )
sets | set
- (element in ups or looks.up(element))
+ looks.up(element)
sets | set
- needed = looks.up(element)
+ needed = looks.up(element) and looks.down(element)
queues | queue
- found = sorted([*found, *pending])
+ pass
queues | queue
- named = set(cast(Line, self.initial).items()) | _seen(calls)
+ named = _seen(calls)
queues | measured queue
- everything = _tells_length(calls)
+ everything = False
counters | counter
- farthest = [max(sign * need for need in needs)] if needs else []
+ farthest = [min(sign * need for need in needs)] if needs else []
queues | measured queue
- return any(call.f == "length" and call.known for call in calls)
+ return False
queues | queue
- if sources[item] == 1:
+ if True:
queues | queue
- if all(count <= taken[item] for item, count in sources.items()):
+ if True:
queues | queue
- return call.known and call.output is None
+ return True
queues | measured queue
- if call.f == "length":
+ if False:
queues | queue
- if item not in there)
+ )
queues | queue
- elif items[stop] != item:
+ elif False:
queues | queue
- return None if call.output in gone else call
+ return call
texts | kv-append
- any(piece in told for told in self._whole)
+ any(told == piece for told in self._whole)
texts | kv-append of tangles
- if not solid({*pieces, *([initial] if initial else [])}):
+ if False:
texts | kv-append of tangles
- if not solid({*pieces, *([initial] if initial else [])}):
+ if not solid(set(pieces)):
texts | kv-append of tangles
- and not _can_make(others, sources[0])
+
texts | kv-append
- return call._replace(input="") if call.input in gone else call
+ return None if call.input in gone else call
texts | kv-append
- return state if live else Blur.UNSEEN
+ return state if text else Blur.UNSEEN
texts | kv-append
- if not sources:
+ if True:
banks | bank
- or taken[target]
+
banks | bank
- or source in refused
+
banks | bank
- {source, target} & told
+ {source} & told
banks | bank
- {source, target} & told
+ {target} & told
banks | bank
- if any(call.f == "read" and call.known for call in calls):
+ if False:
banks | bank
- (call.known and call.output == OVERDRAFT) or
+ (call.known) or
multi_registers | multi-register
- demand[item] == (item in found.reads)
+ demand[item] < 2
multi_registers | multi-register
-  or not effect(call.f, call).consistent
+
multi_registers | multi-register
- found.union(*(one.own for one in effects))
+ found
multi_registers | multi-register
- + (start.get(name) == value) == 1
+ == 1
multi_registers | multi-register
- any(item in found for
+ any(False for
multi_registers | multi-register
- tuple(found.writes.items()), None
+ tuple(found.writes.items())[:1], None
sets | set
- newer, element, not there
+ newer, element, there
sets | set
- version._element, not version._there
+ version._element, version._there
"""


def mutants():
    lines = iter(MUTANTS.strip("\n").split("\n"))
    for where in lines:
        module, _, name = where.partition(" | ")
        yield module, name, next(lines).removeprefix("- "), next(lines).removeprefix("+").removeprefix(" ")


@pytest.mark.parametrize(("module", "name", "right", "wrong"), list(mutants()))
def test_brute_force_catches_advice_without_its_condition(monkeypatch, module, name, right, wrong):
    path = Path(checker.models.__file__).parent / f"{module}.py"
    source = path.read_text()
    assert source.count(right) == 1, f"{path} changed: change the mutant, too"
    full_name = f"checker.models.{module}"
    spec = importlib.util.spec_from_file_location(full_name, path)
    mutant = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, full_name, mutant)
    exec(compile(source.replace(right, wrong), str(path), "exec"), mutant.__dict__)
    rng = random.Random(f"{name} 2")
    assert any(wrong_advice(rng, random_case(rng, name)) for _ in range(4_000))
