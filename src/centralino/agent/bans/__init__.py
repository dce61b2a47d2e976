"""The cluster's bans on one guest: reports of attacks go to the panel, and what the panel lists is dropped."""
