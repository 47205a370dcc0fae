"""Our own API: all that the SDK and the command line do, over HTTP."""
