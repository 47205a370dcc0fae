"""What is read from a request that brings an event."""
