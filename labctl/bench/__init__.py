"""What is measured: delays, traffic, memory; one way against another."""
