"""What passes between the parts of Centralino: names, snapshots, results, tokens, live messages and tenant files.

Everything here is data and pure functions; nothing here reads a file, opens a socket or imports another part.
"""
