"""Contract suites and fixtures for those who write a backend of their own. Needs the extra `test`."""
