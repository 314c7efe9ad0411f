"""Pictures and data sets out of the network: politely, whole or not at all, every file accounted for."""
