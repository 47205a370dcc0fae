"""What is wrong with a manifest before anything runs: the rules of Argo's lint, and some that it misses."""
