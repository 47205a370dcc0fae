"""The functions of Masterminds/sprig v3, one file a theme; `functions.py` puts the map together."""
