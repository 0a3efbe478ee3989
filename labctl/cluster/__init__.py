"""A running lab: its life cycle, readiness, proof, and what its nodes say."""
