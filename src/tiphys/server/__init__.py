"""The server: Argo's REST API over the services, in one process with the engine."""
