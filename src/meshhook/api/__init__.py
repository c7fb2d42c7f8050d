"""The HTTP side of MeshHook: the hot path for webhooks, and the REST API."""
