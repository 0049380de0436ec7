"""What people and scripts see of a batch: progress, log, summary and status. Views listen and read, never steer."""
