"""Load for the CTI proxy."""
