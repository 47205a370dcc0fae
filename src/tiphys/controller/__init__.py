"""The loop around the engine: events in, one transaction, commands out."""
