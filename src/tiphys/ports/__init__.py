"""What the core asks of the outside: one abstract base class a file."""
