"""Argo's container templates on this machine without a cluster: host processes, each with its own file view or not."""
