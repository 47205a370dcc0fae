"""The same use cases as `services`, asked of a server."""
