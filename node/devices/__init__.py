"""What hangs on the server: printers. Jobs come from the log; what became of them goes back into
it."""
