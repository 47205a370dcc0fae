"""Our API."""
