"""What changes or measures the process: devices, threads, memory, torch's compiler."""
