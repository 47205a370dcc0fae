"""Regular expressions (RE2) and semantic versions."""

from __future__ import annotations

from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goregex.regex import compile_regex, quote_meta
from tiphys.lang.semver import parse_version, satisfies
from tiphys.lang.sprig.signature import Table


def _must_match(pattern: str, text: str) -> bool:
    return compile_regex(pattern).search(text) is not None


def _match(pattern: str, text: str) -> bool:
    try:
        return _must_match(pattern, text)
    except ExpressionError:
        return False


def _find(pattern: str, text: str) -> str:
    match = compile_regex(pattern).search(text)
    return (match.group() or "") if match else ""


def _find_all(pattern: str, text: str, count: int) -> list[str]:
    return [match.group() or "" for match in compile_regex(pattern).find_all(text, count)]


def _replace(pattern: str, text: str, template: str) -> str:
    return compile_regex(pattern).replace_all(text, template)


def _replace_literal(pattern: str, text: str, replacement: str) -> str:
    return compile_regex(pattern).replace_all_literal(text, replacement)


def _split(pattern: str, text: str, count: int) -> list[str]:
    return compile_regex(pattern).split(text, count)


def _semver(text: str) -> dict[str, Any]:
    """The parts of a version, under the names of the methods of sprig's object."""
    version = parse_version(text)
    return {
        "Major": version.major,
        "Minor": version.minor,
        "Patch": version.patch,
        "Prerelease": version.prerelease,
        "Metadata": version.metadata,
        "Original": version.original,
        "String": str(version),
    }


FUNCTIONS: Table = {
    "regexMatch": ("ss", _match),
    "mustRegexMatch": ("ss", _must_match),
    "regexFind": ("ss", _find),
    "mustRegexFind": ("ss", _find),
    "regexFindAll": ("ssi", _find_all),
    "mustRegexFindAll": ("ssi", _find_all),
    "regexReplaceAll": ("sss", _replace),
    "mustRegexReplaceAll": ("sss", _replace),
    "regexReplaceAllLiteral": ("sss", _replace_literal),
    "mustRegexReplaceAllLiteral": ("sss", _replace_literal),
    "regexSplit": ("ssi", _split),
    "mustRegexSplit": ("ssi", _split),
    "regexQuoteMeta": ("s", quote_meta),
    "semver": ("s", _semver),
    "semverCompare": ("ss", satisfies),
}
