"""Regular expressions as Go's package regexp understands them, in time linear in the text."""

from tiphys.lang.goregex.regex import Match, Regex, compile_regex, quote_meta

__all__ = ["Match", "Regex", "compile_regex", "quote_meta"]
