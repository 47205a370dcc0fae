"""The one base of all specification models: Argo's JSON names outside, snake_case inside, nothing lost on the way.

Field names differ between Python and JSON by one rule (`json_name`), so no model repeats an alias. Unknown fields are
kept and written back: a manifest of a newer Argo survives a round trip.
"""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from tiphys.errors import SpecError

#: Parts that Go spells in capitals, except at the start of a name.
_CAPITALS = {part: part.upper() for part in ("api", "arn", "gc", "id", "io", "ip", "sdk", "tls", "uid", "url")}
#: Names that do not follow the rule.
_EXCEPTIONS = {"kms_key_id": "kmsKeyId"}


#: Where a value stands in an object: JSON names and indices of lists.
Path = tuple[str | int, ...]


class WrongType(NamedTuple):
    """A value that is not what its field takes."""

    path: Path
    message: str


@lru_cache(maxsize=4096)
def json_name(name: str) -> str:
    """The JSON name of a Python attribute: `artifact_gc` → `artifactGC`, `from_` → `from`."""
    if name in _EXCEPTIONS:
        return _EXCEPTIONS[name]
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(_CAPITALS.get(part) or part[:1].upper() + part[1:] for part in rest)


class Spec(BaseModel):
    """Base of every object that stands in a manifest."""

    model_config = ConfigDict(
        alias_generator=json_name,
        populate_by_name=True,
        defer_build=True,
        extra="allow",
        protected_namespaces=(),
        coerce_numbers_to_str=True,
    )

    def to_json(self) -> dict[str, Any]:
        """As Argo writes it: JSON names, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_json_text(self) -> str:
        """`to_json` as compact text."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read a JSON object (parsed).

        A boolean where a text belongs is read as "true" or "false", as Go's YAML reader does (a label `enabled: yes`).

        Raises:
            SpecError: a field has the wrong type; the message names every such field by its path.
        """
        found, problems = cls.read_json(data)
        if found is None:
            described = "; ".join(f"{_dotted(problem.path)}: {problem.message}" for problem in problems)
            raise SpecError(f"Not a valid {cls.__name__}: {described}")
        return found

    @classmethod
    def read_json(cls, data: Any) -> tuple[Self | None, list[WrongType]]:
        """As `from_json`, but what is wrong is given back instead of raised.

        Returns:
            The object, or None and every wrong field.
        """
        try:
            return cls.model_validate(data), []
        except ValidationError as error:
            mended = _with_texts(data, error)
            if mended is not None:
                return cls.read_json(mended)
            return None, _wrong_types(data, error)

    @classmethod
    def from_json_text(cls, text: str | bytes) -> Self:
        """Read JSON text.

        Raises:
            SpecError: as `from_json`, or the text is not JSON.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                if problem["type"] == "json_invalid":
                    raise SpecError(f"Not a valid {cls.__name__}: {problem['msg']}") from error
            return cls.from_json(json.loads(text))


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path) or "(the object)"


def _wrong_types(data: Any, error: ValidationError) -> list[WrongType]:
    """Each wrong field once; pydantic's path also names the members of a union, which are no part of the object."""
    found: dict[Path, str] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        path: Path = ()
        value = data
        for part in problem["loc"]:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                break
            path = (*path, part)
        found.setdefault(path, problem["msg"])
    return [WrongType(path, message) for path, message in found.items()]


def _with_texts(data: Any, error: ValidationError) -> Any | None:
    """A copy of `data` with booleans turned into the texts that were expected; None if that is not what is wrong."""
    problems = error.errors(include_url=False, include_context=False)
    if not all(problem["type"] == "string_type" and isinstance(problem["input"], bool) for problem in problems):
        return None
    mended = deepcopy(data)
    for problem in problems:
        *path, last = problem["loc"]
        holder = mended
        for part in path:
            holder = holder[part]
        holder[last] = _to_text(problem["input"])
    return mended


def plain_number(value: float) -> str:
    """A float as Go prints it without an exponent: the shortest digits that give the same number back."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _to_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return plain_number(value)
    return str(value) if isinstance(value, int) else value


#: Text that may be written as a number or a boolean, as Argo's parameters may.
AnyString = Annotated[str, BeforeValidator(_to_text)]
#: Kubernetes' IntOrString: a number, or text that holds one or a tag.
IntOrString = int | str
#: A Kubernetes object that nothing here looks into.
Loose = dict[str, Any]
