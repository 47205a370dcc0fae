"""`tiphys argo`: the command tree of Argo's own command line, with its flags, outputs and exit codes."""
