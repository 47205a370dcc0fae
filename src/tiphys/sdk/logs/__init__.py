"""What a step prints and logs: shown as before, and kept line by line with its time and its source.

`streams` stands in the place of the standard streams, and `lanes` helps it where a step prints without pause; `capture`
keeps what comes from there and from loggers; `writer` is the thread that writes it to live files; `files` knows what a
log looks like, live and stored.
"""
