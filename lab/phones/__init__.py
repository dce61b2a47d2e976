"""Test phones: SIPp in containers on the lab's network, one scenario file an act."""
