"""Configuration and measurement of the process: threads, memory, devices and torch's compiler."""
