"""The PBX agent: it takes one PBX's snapshot from the panel and makes Asterisk run it, or leaves Asterisk as it was."""
