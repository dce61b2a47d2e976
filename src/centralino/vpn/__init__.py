"""The VPN's own authority, on the guest that runs OpenVPN: profiles are made, listed and revoked here."""
