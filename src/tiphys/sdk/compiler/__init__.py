"""From a pipeline's body to a workflow, and from there to a run."""
