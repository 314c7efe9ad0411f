"""What changes or measures the process: the switch, threads, memory, devices, torch's compiler."""
