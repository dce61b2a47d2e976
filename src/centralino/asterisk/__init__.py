"""Asterisk's side of a snapshot: what its files say (pure), and what a running Asterisk has loaded."""
