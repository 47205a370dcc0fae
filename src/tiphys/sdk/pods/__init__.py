"""What a pod is made of, whatever carries it out: environment, volumes, artifacts, and what its end means."""
