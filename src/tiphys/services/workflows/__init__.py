"""Workflows as Argo's API serves them: submit, look, stop, resume, retry, read logs."""
