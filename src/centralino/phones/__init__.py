"""Desk phones' configuration files, rendered from data alone: nothing here opens a site's file, a socket or a database.

A vendor is a module of ``vendors``; what they share (clean text, XML, clocks) is beside it.
"""
