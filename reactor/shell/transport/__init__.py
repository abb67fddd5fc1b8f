"""Sockets: one seam, several skins."""
