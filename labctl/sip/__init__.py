"""The phones of a lab: SIP user agents, what they send, receive and hear."""
