"""The CTI proxy: Asterisk's manager events on one side, each tenant's browsers on the other.

``ami`` speaks to the PBXes, ``tenancy`` decides whose an event is, ``state`` keeps what every extension is doing,
``web`` serves the browsers; ``exchange`` joins them and ``service`` runs them as one process.
"""
