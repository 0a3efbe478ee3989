"""Results for people and programs: tables, text, JSON, JUnit."""
