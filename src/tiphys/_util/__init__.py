"""Ids, clocks' formats, canonical JSON, hashing, masking: no I/O, no import of the rest of Tiphys."""
