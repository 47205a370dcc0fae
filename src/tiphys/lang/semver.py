"""Semantic versions and constraints on them ("^1.2", ">=1.2, <3 || 4.x"), as Masterminds/semver v3.4 reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import go_quote
from tiphys.lang.goregex.regex import compile_regex

_EXTRAS = r"(-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(?:\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?"
_VERSION = r"^v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?" + _EXTRAS + "$"
_OPERATORS = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^"


def _pattern(group: str) -> str:
    """A version in a constraint, whose numbers may be wildcards; `group` opens what is reported."""
    number = r"[0-9|x|X|\*]+)"
    words = r"[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*)"
    return rf"v?{group}{number}(?:\.{group}{number})?(?:\.{group}{number})?{group}-{words}?(?:\+{group}{words})?"


_BARE = _pattern("(?:")
_ONE = rf"^\s*({_OPERATORS})\s*({_pattern('(')})\s*$"
_RANGE = rf"\s*({_BARE})\s+-\s+({_BARE})\s*"
_EACH = rf"(?:{_OPERATORS})\s*(?:{_BARE})"
_GROUP = rf"^\s*{_EACH}\s*(?:(?:\s+|,\s*){_EACH}\s*)*$"
_WILD = ("x", "X", "*")
#: Characters of a version or a constraint.
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Version:
    """One version; metadata takes no part in the order."""

    major: int
    minor: int
    patch: int
    #: Dotted parts after the "-"; empty for a release.
    prerelease: str = ""
    #: Dotted parts after the "+".
    metadata: str = ""
    #: As it was written.
    original: str = ""

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        if self.prerelease:
            text += f"-{self.prerelease}"
        return f"{text}+{self.metadata}" if self.metadata else text


def parse_version(text: str) -> Version:
    """A version; "v1", "1.2" and numbers with leading zeros are read too.

    Raises:
        ExpressionError: it is not one.
    """
    match = compile_regex(_VERSION).search(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ExpressionError(f"invalid semantic version: {go_quote(text[:_LONGEST])}")
    numbers = [int(part or "0") for part in match.groups()[:3]]
    if max(numbers) >= 2**64:
        raise ExpressionError(f"error parsing version segment: {go_quote(text)} holds a number that is too large")
    prerelease = match.group(5) or ""
    if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in prerelease.split(".")):
        raise ExpressionError(f"version segment starts with 0: {go_quote(text)}")
    return Version(numbers[0], numbers[1], numbers[2], prerelease, match.group(6) or "", text)


def compare(left: Version, right: Version) -> int:
    """-1, 0 or 1: whether the left version is older, equal or newer; a pre-release is older than its release."""
    mine, yours = (left.major, left.minor, left.patch), (right.major, right.minor, right.patch)
    if mine != yours:
        return 1 if mine > yours else -1
    if not left.prerelease or not right.prerelease:
        return bool(right.prerelease) - bool(left.prerelease)
    return _compare_prereleases(left.prerelease, right.prerelease)


def _compare_prereleases(left: str, right: str) -> int:
    mine, yours = ([_order(part) for part in text.split(".")] for text in (left, right))
    return (mine > yours) - (mine < yours)


def _order(part: str) -> tuple[int, int, str]:
    """Numbers come before words."""
    if part.isdigit() and int(part) < 2**64:
        return (0, int(part), "")
    return (1, 0, part)


def satisfies(constraint: str, version: str) -> bool:
    """Whether the version meets the constraint.

    Args:
        constraint: Groups joined by "||"; in a group all parts must hold, joined by a comma or a space. A part is an
            operator (=, !=, >, <, >=, <=, ~, ^, or none) and a version, whose numbers may be left out or x, X or *.
            "1.2 - 1.4" is a range. Pre-releases are met only by a group that names one.
        version: As `parse_version` reads it.

    Raises:
        ExpressionError: either cannot be read.
    """
    groups = _parsed(constraint)
    parsed = parse_version(version)
    return any(_meets(parsed, group) for group in groups)


@dataclass(frozen=True, slots=True)
class _Part:
    operator: str
    version: Version
    #: How many numbers were written, before the first wildcard.
    known: int


@lru_cache(maxsize=256)
def _parsed(constraint: str) -> tuple[tuple[_Part, ...], ...]:
    if len(constraint) > _LONGEST:
        raise ExpressionError(f"improper constraint: {go_quote(constraint[:_LONGEST])}")
    for match in compile_regex(_RANGE).find_all(constraint):
        constraint = constraint.replace(match.group() or "", f">= {match.group(1)}, <= {match.group(2)} ", 1)
    groups: list[tuple[_Part, ...]] = []
    for group in constraint.split("||"):
        if compile_regex(_GROUP).search(group) is None:
            raise ExpressionError(f"improper constraint: {go_quote(group)}")
        groups.append(tuple(_part(match.group() or "") for match in compile_regex(_EACH).find_all(group)))
    return tuple(groups)


def _part(text: str) -> _Part:
    match = compile_regex(_ONE).search(text)
    if match is None:
        raise ExpressionError(f"improper constraint: {go_quote(text)}")
    numbers = match.groups()[2:5]
    known = next((index for index, number in enumerate(numbers) if number is None or number in _WILD), 3)
    written = ".".join([number or "" for number in numbers[:known]] + ["0"] * (3 - known))
    # An incomplete version keeps its pre-release, and loses its metadata.
    extras = match.group(6) or ""
    if known == 3 and match.group(7):
        extras += f"+{match.group(7)}"
    try:
        return _Part(match.group(1) or "", parse_version(written + extras), known)
    except ExpressionError:
        raise ExpressionError(f"improper constraint: {go_quote(text)}") from None


def _meets(version: Version, group: tuple[_Part, ...]) -> bool:
    if version.prerelease and not any(part.version.prerelease for part in group):
        return False
    return all(_OPERATIONS[part.operator](version, part) for part in group)


def _equal(version: Version, part: _Part) -> bool:
    return _tilde(version, part) if part.known < 3 else compare(version, part.version) == 0


def _not_equal(version: Version, part: _Part) -> bool:
    wanted = part.version
    if part.known == 3 or part.known == 0:
        # Without any number it is compared as 0.0.0.
        return compare(version, wanted) != 0
    if version.major != wanted.major:
        return True
    if part.known == 1:
        return False
    if version.minor != wanted.minor:
        return True
    return bool(version.prerelease or wanted.prerelease) and version.prerelease != wanted.prerelease


def _greater(version: Version, part: _Part) -> bool:
    wanted = part.version
    if part.known == 1:
        return version.major > wanted.major
    if part.known == 2:
        return (version.major, version.minor) > (wanted.major, wanted.minor)
    return compare(version, wanted) > 0


def _at_most(version: Version, part: _Part) -> bool:
    wanted = part.version
    if part.known == 3:
        return compare(version, wanted) <= 0
    if version.major > wanted.major:
        return False
    return version.major < wanted.major or version.minor <= wanted.minor or part.known == 1


def _tilde(version: Version, part: _Part) -> bool:
    wanted = part.version
    if compare(version, wanted) < 0:
        return False
    if part.known in (0, 3) and (wanted.major, wanted.minor, wanted.patch) == (0, 0, 0):
        return True
    return version.major == wanted.major and (version.minor == wanted.minor or part.known == 1)


def _caret(version: Version, part: _Part) -> bool:
    wanted = part.version
    if compare(version, wanted) < 0:
        return False
    if wanted.major > 0 or part.known == 1:
        return version.major == wanted.major
    if version.major > 0:
        return False
    if wanted.minor > 0 or part.known == 2:
        return version.minor == wanted.minor
    return version.minor == 0 and version.patch == wanted.patch


_OPERATIONS: dict[str, Callable[[Version, _Part], bool]] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": lambda version, part: compare(version, part.version) < 0,
    ">=": lambda version, part: compare(version, part.version) >= 0,
    "=>": lambda version, part: compare(version, part.version) >= 0,
    "<=": _at_most,
    "=<": _at_most,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}
