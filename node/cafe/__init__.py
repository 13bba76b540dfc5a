"""The café's rules. Pure: no clock, disk, socket or chance; they read tables and return events."""
