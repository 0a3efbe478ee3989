"""Hunts for what is wrong: random labs, steps and faults; what fails is compared with the findings, and shrunk."""
