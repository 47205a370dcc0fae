"""The small languages inside manifests: tags, conditions, dependencies, durations. Pure functions over text."""
