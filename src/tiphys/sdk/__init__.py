"""What pipelines are written with: steps, pipelines, models, artifacts, and how a step is run."""
