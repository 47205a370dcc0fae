"""Templates that need no container: HTTP requests, lists of files, operations on objects."""
