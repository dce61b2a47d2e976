"""The lab: a Proxmox VE stand-in whose virtual machines are systemd containers on this machine."""
