"""The server's HTTP layer: connections, bodies, access control, and security headers."""
