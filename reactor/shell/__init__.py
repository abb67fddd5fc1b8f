"""The world: files and sockets. Thin, few branches."""
