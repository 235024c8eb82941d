"""The scripts that come with the product: ``--fault script:NAME``; one YAML file each, read once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

_FOLDER = Path(__file__).parent


@cache
def library() -> Mapping[str, Mapping[str, object]]:
    """Name -> script, in the order of names."""
    scripts = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert isinstance(data, dict), f"{path}: no script"
        scripts[path.stem] = {"name": path.stem, **data}
    return scripts
