"""What a ceremony cost, measured: time, CPU, memory and bytes, per party and stage."""
