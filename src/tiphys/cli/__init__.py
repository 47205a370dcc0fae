"""The command line: groups of click commands, each loaded only when it is called."""
