"""A stand-in for a Proxmox VE cluster: its API over HTTPS on loopback, its virtual machines as containers."""
