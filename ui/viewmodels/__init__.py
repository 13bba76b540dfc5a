"""What a screen shows and does, without a control in it; one set a session."""
