"""The Proxmox stand-in as clients see it: proxmoxer over HTTPS."""
