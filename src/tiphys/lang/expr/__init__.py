"""The expression language of `{{=…}}`, `expression:` and `fromExpression:`: expr-lang, as Argo uses it."""
