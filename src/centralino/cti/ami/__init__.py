"""Asterisk's manager interface (AMI): bytes to messages, and a connection that comes back by itself.

Source: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Manager-Interface-AMI/AMI-v2-Specification/
"""
