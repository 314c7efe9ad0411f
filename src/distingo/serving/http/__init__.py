"""The server's edge: connections, bodies, who may ask, and the headers of every answer."""
