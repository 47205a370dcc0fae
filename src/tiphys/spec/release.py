"""The release of Argo Workflows that is followed."""

#: Its language and behaviour.
ARGO = "v4.1.2"
