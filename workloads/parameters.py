"""Parameters of a workload: what may be set, in which unit, within which bounds.

Values arrive from a YAML file or from ``--set key=value`` and are checked here once, so that a generator may
trust its ``Settings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Number = int | float
Setting = int | float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that can be set."""

    name: str
    default: Setting
    unit: str
    """``keys``, ``bytes``, ``share``, ``weight`` …"""
    meaning: str
    low: Number | None = None
    high: Number | None = None
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        """For people."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{kind} from {self.low} to {self.high} ({self.unit})"

    def problem(self, value: object) -> str | None:
        """Why this value cannot be taken, or None."""
        if self.choices:
            fits = isinstance(value, str) and value in self.choices
        else:
            types = (int,) if isinstance(self.default, int) else (int, float)
            fits = (
                isinstance(value, types)
                and not isinstance(value, bool)
                and self.low is not None
                and self.high is not None
                and self.low <= value <= self.high
            )
        return None if fits else f"{self.name} = {value!r:.80}: it must be {self.allowed()}"


@dataclass(frozen=True, slots=True)
class Settings:
    """A value for every parameter."""

    values: Mapping[str, Setting]

    def number(self, name: str) -> Number:
        """A count or a share."""
        value = self.values[name]
        assert isinstance(value, int | float), f"{name} = {value!r} was checked to be a number"
        return value

    def count(self, name: str) -> int:
        """A whole number."""
        value = self.values[name]
        assert isinstance(value, int), f"{name} = {value!r} was checked to be a whole number"
        return value

    def word(self, name: str) -> str:
        """One of the choices."""
        return str(self.values[name])


def settle(parameters: tuple[Parameter, ...], asked: Mapping[str, object]) -> Settings:
    """Defaults with what was asked for. Raises ValueError, with what is wrong and what is allowed.

    Names that belong to no parameter are the caller's to refuse: it knows what else the user might have
    meant.
    """
    values: dict[str, Setting] = {}
    for parameter in parameters:
        value = asked.get(parameter.name, parameter.default)
        problem = parameter.problem(value)
        if problem:
            raise ValueError(problem)
        assert isinstance(value, int | float | str)
        values[parameter.name] = value
    weights = [p for p in parameters if p.unit == "weight"]
    if weights and not any(values[p.name] for p in weights):
        names = ", ".join(p.name for p in weights)
        raise ValueError(f"every weight is 0 ({names}): give at least one function a weight above 0")
    return Settings(values)
