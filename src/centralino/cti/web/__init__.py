"""The browsers' side: WebSocket over TLS; what a feed has to say is built once and written to all of its clients."""
