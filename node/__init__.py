"""The café's nodes: rules (`cafe`), devices, roles, and the one door for screens (`api`)."""
